//! The example of an embedded engine runs to its end, where it checks what is
//! left.

#[path = "../examples/embed.rs"]
mod example;

#[test]
fn the_example_registers_keeps_alive_expires_and_takes_over() {
    example::main().unwrap();
}
