mod harness;
use harness::*;
use std::time::Instant;
#[test]
fn bench() {
    let node = Node::start();
    let client = node.client(true);
    let sock = node.client(false);
    for (count, size) in [(256usize, 100 << 10), (256, 4096), (256, 20 << 10), (64, 1 << 20)] {
        let objects: Vec<_> = (0..count * 4).map(|n| node.put(&format!("s{size}-{n}"), size)).collect();
        for chunk in objects.chunks(count) { read(&client, chunk); }
        node.store.flush(PATIENCE).unwrap();
        for chunk in objects.chunks(count) { read(&client, chunk); }
        let run = |client: &millpool_flow::Client| {
            let mut best = f64::MAX; let mut gather = 0.0; let mut queue = 0.0; let mut dev = 0.0;
            for round in 0..60 {
                let chunk = &objects[(round % 4) * count..][..count];
                let sel = millpool_flow::Selection::Objects(chunk.to_vec());
                let t = Instant::now();
                let b = client.read(&sel, None, Default::default(), &soon()).unwrap();
                let e = t.elapsed().as_secs_f64();
                assert_eq!(hits(&b), count);
                if e < best { best = e; gather = b.waits.gather.as_secs_f64(); queue = b.waits.queue.as_secs_f64(); dev = b.waits.device.as_secs_f64(); }
            }
            (best * 1e6, gather * 1e6, queue * 1e6, dev * 1e6, (count * size) as f64 / best / (1u64 << 30) as f64)
        };
        println!("{count} x {size}: mapped {:?}", run(&client));
        println!("{count} x {size}: socket {:?}", run(&sock));
    }
    // memcpy floor
    let src = vec![1u8; 256 * (100 << 10)]; let mut dst = vec![2u8; 256 * (100 << 10)];
    let mut best = f64::MAX;
    for _ in 0..50 { let t = Instant::now(); dst.copy_from_slice(std::hint::black_box(&src)); std::hint::black_box(&dst); best = best.min(t.elapsed().as_secs_f64()); }
    println!("memcpy 25 MiB {:.0} us", best * 1e6);
}
