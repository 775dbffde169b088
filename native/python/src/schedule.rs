//! The steps of one rank through an epoch.

use millpool_core::{Schedule as CoreSchedule, ScheduleConfig, Step};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::failure::{invalid, raised};

#[pyclass(module = "millpool._native")]
pub struct Schedule(CoreSchedule);

/// As Python names them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Grid {
    count: u64,
    global_batch: u64,
    world: u64,
    rank: u64,
    drop_last: bool,
    position: u64,
}

#[pymethods]
impl Schedule {
    /// All of `Grid`'s fields, by their names.
    #[new]
    #[pyo3(signature = (**grid))]
    fn new(grid: Option<&Bound<'_, PyDict>>) -> PyResult<Schedule> {
        let grid = grid.ok_or_else(|| invalid("a schedule of nothing"))?.extract()?;
        let Grid { count, global_batch, world, rank, drop_last, position } = grid;
        let config = ScheduleConfig { count, global_batch, world, rank, drop_last, position };
        Ok(Schedule(CoreSchedule::new(config).map_err(|error| raised(&error))?))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// Start, count, of them padded, then the world's position before the step and after it.
    fn __next__(&mut self) -> Option<(u64, u64, u64, u64, u64)> {
        self.0.next().map(|Step { from, count, padded, position, next_position }| {
            (from, count, padded, position, next_position)
        })
    }
}
