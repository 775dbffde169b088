"""Batches of a dataset in a reproducible order."""

from __future__ import annotations

import weakref
from typing import Any, Literal

from millpool._native import Schedule
from millpool.batch import OnError
from millpool.cache_facts import CacheFacts, cache_facts_of
from millpool.dataset import Dataset
from millpool.errors import Closed, Invalid, MillpoolError
from millpool.iteration import Iteration, Passage
from millpool.loader_settings import LoaderSettings
from millpool.loader_state import LoaderState, check_datasets, datasets_of, parse_loader_state
from millpool.metrics import exposition
from millpool.mixture import Mixture
from millpool.mixture_hints import MixtureHints
from millpool.plan import Plan
from millpool.read_ahead import Course, ReadAhead
from millpool.report import Report
from millpool.stage_probe import StageProbe
from millpool.stall_account import StallAccount, Surroundings
from millpool.transform import Collate, Transform, TransformStage
from millpool.world import World, world_of

#: For what only the report is the better for.
_FACTS_SECONDS = 1.0


class Loader:
    """``for batch in loader``: this rank's batches of what is left of the current epoch, each a ``millpool.Batch``. The
    next iteration is the next epoch.

    The order is a pure function of (dataset version, seed, epoch): it depends on neither ``rank`` nor ``world``, so
    that a loader goes on exactly where ``state_dict()`` says, in any process and any world.

    Args:
        data: what ``mill.dataset(...)`` gave, or a ``Mixture`` of several.
        batch_size: samples a step on this rank.
        shuffle: else samples come in path order.
        seed: of the order.
        drop_last: leave out what is left of an epoch after its last full step.
        epoch: the first one.
        rank, world: which share is this process's, and of how many; without them as the launcher says (``RANK`` and
            ``WORLD_SIZE``, or Slurm's), read when they are first needed.
        prefetch: batches read ahead; ``auto`` is as many as serve.
        hints: False: the daemon is not told what will be read, for benchmarks that forbid it.
        on_error: samples that cannot be read (or transformed) ``raise``, are left out (``skip``: the batch is shorter),
            or ``keep`` their place, where ``batch.error(i)`` tells why (or the error stands where the result would).
        transform: of each sample: ``transform(view)``, or ``transform(view, index)`` where it takes two. Batches are
            lists of what it returns. An error of it says which sample it was.
        collate_fn: what makes a batch of such a list (without ``transform``, of views).
        num_threads: that transform and collate; by default as many as this process may count on processors, where a
            container's limit and other ranks on this node (LOCAL_WORLD_SIZE) leave fewer.
        timeout: seconds of each read; without it the connection's.

    A batch's memory is used again when it and all of its views are gone.
    """

    def __init__(
        self,
        data: Dataset | Mixture,
        batch_size: int = 256,
        shuffle: bool = False,
        *,
        seed: int = 0,
        drop_last: bool = False,
        epoch: int = 0,
        rank: int | None = None,
        world: int | None = None,
        prefetch: int | Literal["auto"] = "auto",
        hints: bool = True,
        on_error: OnError = "raise",
        transform: Transform | None = None,
        collate_fn: Collate | None = None,
        num_threads: int | None = None,
        timeout: float | None = None,
    ) -> None:
        if not isinstance(data, (Dataset, Mixture)):
            raise Invalid(f"the loader's data is {data!r}", "Give what mill.dataset(...) returned, or a Mixture of it.")
        self._settings = LoaderSettings(
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            epoch=epoch,
            rank=rank,
            world=world,
            prefetch=prefetch,
            hints=hints,
            on_error=on_error,
            transform=transform,
            collate_fn=collate_fn,
            num_threads=num_threads,
            timeout=timeout,
        )
        self._data = data
        #: Where it stands; the global batch is known once the world is.
        self._epoch, self._position = epoch, 0
        self._loaded: LoaderState | None = None
        self._account = StallAccount()
        self._probe: StageProbe | None = None
        self._cache: CacheFacts | None = None
        self._iteration: weakref.ref[Iteration] | None = None
        self._is_closed = False

    @property
    def dataset(self) -> Dataset | Mixture:
        return self._data

    @property
    def epoch(self) -> int:
        """That the next batch belongs to."""
        return self._epoch

    def __len__(self) -> int:
        """Steps of a whole epoch, the same for every rank."""
        state, count = self._state, len(self._data)
        return count // state.global_batch if state.drop_last else -(-count // state.global_batch)

    @property
    def step(self) -> int:
        """Steps of the current epoch that are behind it, so that a progress bar of one that goes on begins there:
        ``tqdm(loader, initial=loader.step)``.
        """
        state = self._state
        return -(-state.position // state.global_batch)

    def __iter__(self) -> Iteration:
        if self._is_closed:
            raise Closed("this loader was closed", "Make another.")
        # One at a time: a loop that was left with an error may still hold its own.
        self._end_iteration()
        iteration = self._iterate()
        self._iteration = weakref.ref(iteration)
        return iteration

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is this epoch: from its beginning, or where it is the current one (as after
        ``load_state_dict``), from where that stands.
        """
        if not isinstance(epoch, int) or epoch < 0:
            raise Invalid(f"the epoch is {epoch!r}", "Give a whole number of 0 or more.")
        if epoch != self._epoch:
            self._end_iteration()
            self._epoch, self._position = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: after the last batch that was handed out. JSON of less than 1 kB, the same on every
        rank and in the TypeScript SDK.
        """
        return self._state.as_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration goes on there. What the state says of the order (seed, shuffle, drop_last, samples a step
        over the whole world) takes the place of what this loader was made with; rank and world are its own.
        """
        loaded = parse_loader_state(state)
        check_datasets(loaded.datasets, self._data.shares())
        if loaded.position > len(self._data):
            raise Invalid(
                f"the loader state's position is {loaded.position}; it must be at most {len(self._data)}",
                "Pass what loader.state_dict() returned, unchanged.",
            )
        self._end_iteration()
        self._loaded, self._epoch, self._position = loaded, loaded.epoch, loaded.position

    def report(self) -> Report:
        """How fast the loop went and what it waited for, since the loader was made."""
        file, probe = self._data.file, self._stage_probe
        around = Surroundings(
            self._data.root, file.bytes, probe.gather, probe.device, self._cache, threads=self._settings.threads
        )
        return self._account.report(around)

    def metrics(self, **labels: str) -> str:
        """The report as Prometheus reads it; ``labels`` are added to the dataset's path and the rank."""
        own = {"path": self._data.root, "rank": str(self._world.rank)}
        return exposition(self.report(), {**own, **labels})

    def copied(self, seconds: float) -> None:
        """For who takes batches to a GPU: how long it stood still for them; the report counts it as ``copy``."""
        self._account.copied(seconds)

    def close(self) -> None:
        """Ends the iteration under way. Batches stay readable. Idempotent."""
        self._end_iteration()
        self._is_closed = True

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        settings = self._settings
        return (
            f"<millpool.Loader: {len(self._data):,} samples of {self._data.root}, batch_size {settings.batch_size}, "
            f"epoch {self._epoch} at {self._position:,}>"
        )

    @property
    def _world(self) -> World:
        return world_of(self._settings.rank, self._settings.world)

    @property
    def _state(self) -> LoaderState:
        settings, loaded = self._settings, self._loaded
        return LoaderState(
            datasets=datasets_of(self._data.shares()),
            seed=settings.seed if loaded is None else loaded.seed,
            epoch=self._epoch,
            position=self._position,
            global_batch=settings.batch_size * self._world.size if loaded is None else loaded.global_batch,
            shuffle=settings.shuffle if loaded is None else loaded.shuffle,
            drop_last=settings.drop_last if loaded is None else loaded.drop_last,
        )

    @property
    def _stage_probe(self) -> StageProbe:
        if self._probe is None:
            self._probe = StageProbe(self._data.connection, self._data.file)
        return self._probe

    def _iterate(self) -> Iteration:
        settings, plan = self._settings, self._opened_plan()
        stage = None
        if settings.transforms:
            stage = TransformStage(settings.transform, settings.collate_fn, settings.threads, settings.on_error)
        return Iteration(
            Passage(
                data=self._data,
                ahead=ReadAhead(self._data, self._course(plan)),
                plan=plan,
                stage=stage,
                account=self._account,
                probe=self._stage_probe,
                on_error=settings.on_error,
                moved=self._moved,
                ended=self._ended,
                ask_cache=self._ask_cache,
            )
        )

    def _course(self, plan: Plan | MixtureHints | None) -> Course:
        settings, state, world = self._settings, self._state, self._world
        return Course(
            order=self._data.order(state.seed, state.epoch, state.shuffle),
            steps=self._steps(),
            batch_size=-(-state.global_batch // world.size),
            plan=plan,
            prefetch=settings.prefetch_batches,
            timeout=self._data.connection.seconds(settings.timeout),
            at_once=not settings.transforms,
        )

    def _steps(self) -> Schedule:
        state, world = self._state, self._world
        return Schedule(
            count=len(self._data),
            global_batch=state.global_batch,
            world=world.size,
            rank=world.rank,
            drop_last=state.drop_last,
            position=state.position,
        )

    def _opened_plan(self) -> Plan | MixtureHints | None:
        """Tells the daemon what will be read, so that it fetches ahead of the loop."""
        if not self._settings.hints or len(self._data) == 0:
            return None
        state, world = self._state.as_dict(), self._world
        if isinstance(self._data, Mixture):
            mixed = self._data.order(self._state.seed, self._state.epoch, self._state.shuffle)
            return MixtureHints(self._data, mixed, self._steps(), world.size)
        order = {name: state[name] for name in ("seed", "epoch", "shuffle", "dropLast", "position", "globalBatch")}
        request = {"version": self._data.version, **order, "rank": world.rank, "world": world.size}
        return Plan(self._data.connection, request, self._account.wait_seconds)

    def _moved(self, position: int) -> None:
        self._position = position

    def _ended(self) -> None:
        self._epoch, self._position = self._epoch + 1, 0

    def _ask_cache(self) -> None:
        connection = self._data.connection
        try:
            status = connection.call("status", {}, _FACTS_SECONDS)
        except MillpoolError:
            return
        self._cache = cache_facts_of(self._data.root, status) or self._cache

    def _end_iteration(self) -> None:
        iteration = None if self._iteration is None else self._iteration()
        self._iteration = None
        if iteration is not None:
            iteration.close()
