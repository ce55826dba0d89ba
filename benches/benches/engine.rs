//! Every operation of the engine with every policy at every shape, and the
//! plain structures it competes with. Names are operation/policy/shape, or
//! operation/structure/shape for a baseline; give a part of one to choose:
//! `cargo bench --bench engine -- 'resolve 3/LeastUsed'`.

use std::time::Duration;

use criterion::Criterion;
use rserpool_benches::chase::Chase;
use rserpool_benches::measure::Subject;
use rserpool_benches::shape::Shape;
use rserpool_benches::space::{self, Space};
use rserpool_benches::structures::{btree, intrusive, ordered};
use rserpool_benches::targets;
use rserpool_engine::PolicyKind;

/// Builds a subject once the first of its benchmarks was chosen.
struct Lazy<F> {
    build: F,
    subject: Option<Box<dyn Subject>>,
}

impl<F: Fn() -> Box<dyn Subject>> Lazy<F> {
    const fn new(build: F) -> Self {
        Self { build, subject: None }
    }

    fn bench(&mut self, criterion: &mut Criterion, operation: usize, id: &str) {
        criterion.bench_function(id, |bencher| {
            let subject = self.subject.get_or_insert_with(&self.build);
            bencher.iter_custom(|calls| {
                let measured = subject.run(operation, calls);
                measured.time.mul_f64(calls as f64 / measured.calls as f64)
            });
        });
    }
}

/// What the engine is compared with at the size of one shape.
fn baselines(criterion: &mut Criterion, shape: Shape) {
    let mut chase = Lazy::new(move || Box::new(Chase::new(targets::working_set(shape))));
    for (operation, name) in ["dependent load", "8 independent chains"].into_iter().enumerate() {
        chase.bench(criterion, operation, &format!("{name}/pointer chase/{shape}"));
    }
    let elements = shape.elements();
    let mut tree = Lazy::new(move || Box::new(ordered::Bench::<btree::BTree>::new(elements)));
    let mut red_black =
        Lazy::new(move || Box::new(ordered::Bench::<intrusive::RedBlack>::new(elements)));
    for (operation, name) in ordered::OPERATIONS.into_iter().enumerate() {
        tree.bench(criterion, operation, &format!("{name}/BTreeMap/{shape}"));
        red_black.bench(criterion, operation, &format!("{name}/intrusive RBTree/{shape}"));
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    for shape in Shape::ALL {
        baselines(&mut criterion, shape);
        for kind in PolicyKind::ALL {
            let mut space = Lazy::new(move || Box::new(Space::new(shape, kind)));
            for (operation, name) in space::operation_names().enumerate() {
                let id = format!("{name}/{}", space::name(kind, shape));
                space.bench(&mut criterion, operation, &id);
            }
        }
    }
    criterion.final_summary();
}
