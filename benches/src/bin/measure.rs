//! Times and instructions.

use std::env;

use sipher_session_benches::{cases, count, time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["batches", name, n] => count::batches(name, n.parse()?),
        ["count", ref names @ ..] => {
            for name in names {
                println!("{name:24} {:8.0}", count::instructions(name)?);
            }
        }
        ["time", rounds] => {
            let cases = cases::all();
            for (case, ns) in cases.iter().zip(time::run(&cases, rounds.parse()?)) {
                println!("{:24} {ns:8.1}", case.name);
            }
        }
        _ => return Err("measure time ROUNDS | count CASE… | batches CASE N".into()),
    }
    Ok(())
}
