//! Measures times and instructions.

use std::{env, fs, path::Path, time::Duration};

use sipher_session_benches::{
    cases, count,
    e2e::{self, How, Load, Server},
    growth, herd, inline, renewals, report, scale, time,
};

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
        ["time", rounds, ref names @ ..] => {
            let mut cases = cases::all();
            cases.retain(|case| names.is_empty() || names.contains(&case.name));
            for (case, ns) in cases.iter().zip(time::run(&cases, rounds.parse()?)) {
                println!("{:24} {ns:8.1}", case.name);
            }
        }
        ["scale", ref names @ ..] => {
            for name in names {
                let (ratio, undisturbed) = scale::two_threads(&cases::named(name), 25);
                println!("{name:24} {ratio:8.2} {undisturbed}");
            }
        }
        ["herd", n] => {
            let n = n.parse()?;
            for _ in 0..5 {
                println!(
                    "{:.4} {:.4} {:.4}",
                    herd::cold(n),
                    herd::woken(n),
                    herd::released(n)
                );
            }
        }
        ["waiting"] => {
            for points in growth::waiting() {
                println!("{points:?} {:.3}", growth::exponent(&points, 100.0));
            }
        }
        ["renewals"] => println!("{:?}", renewals::waits()),
        ["inline"] => print!("{}", inline::table()),
        ["serve"] => e2e::serve(),
        ["requests", url, how, n] => {
            let how = if how == "ours" {
                How::Ours
            } else {
                How::ByHand
            };
            Load::new(url).requests(how, n.parse()?);
        }
        ["e2e"] => {
            let server = Server::start()?;
            let load = Load::new(&server.url);
            for _ in 0..10 {
                let [hand, ours] = [How::ByHand, How::Ours]
                    .map(|how| load.for_a_while(how, Duration::from_millis(100)));
                println!("{hand:.0} {ours:.0} {:.3}", ours / hand);
            }
            for how in ["by-hand", "ours"] {
                let count = |n| count::callgrind(&["requests", &server.url, how], n, &[]);
                println!("{how} {:.0}", (count(6000)? - count(3000)?) / 3000.0);
            }
        }
        ["report", directory, weights] => {
            report::write(Path::new(directory), &fs::read_to_string(weights)?)?;
        }
        _ => return Err("measure time ROUNDS CASE… | count CASE… | batches CASE N".into()),
    }
    Ok(())
}
