//! Plain structures with the same operations at the same sizes. Names are
//! operation/structure/elements; give a part of one to choose.

use std::time::Duration;

use criterion::Criterion;
use rserpool_benches::chase::Chase;
use rserpool_benches::comparison::SIZES;
use rserpool_benches::measure::Subject;
use rserpool_benches::structures;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    for elements in SIZES {
        let chase: Box<dyn Subject> = Box::new(Chase::new(elements as usize * 64));
        for mut subject in structures::subjects(elements).into_iter().chain([chase]) {
            for (operation, name) in subject.operations().into_iter().enumerate() {
                let id = format!("{name}/{}/{elements}", subject.name());
                criterion.bench_function(&id, |bencher| {
                    bencher.iter_custom(|calls| {
                        let measured = subject.run(operation, calls);
                        measured.time.mul_f64(calls as f64 / measured.calls as f64)
                    });
                });
            }
        }
    }
    criterion.final_summary();
}
