//! The program `sipher-session-gateway`.
#![forbid(unsafe_code)]

use std::{env, fs, io, process::ExitCode, time::Duration};

use clap::Parser;
use metrics_exporter_prometheus::PrometheusBuilder;
use sipher_session_gateway::{Config, Flags, LogFormat, Signals};
use tracing_subscriber::EnvFilter;

/// How long the deletes of the sessions may take.
const SHUTDOWN: Duration = Duration::from_secs(8);
/// The exit code if something was left: sessions on the server, or requests that were cut off.
const UNCLEAN: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags).await {
        Ok(code) => code,
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<ExitCode, Vec<String>> {
    let config = read(flags)?;
    let format = config.gateway.log_format.unwrap_or_default();
    let shutdown_timeout = config.gateway.shutdown_timeout.unwrap_or(SHUTDOWN);
    // Before the manager is built, so that all of its metrics start at zero.
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _ = metrics::set_global_recorder(recorder);
    let (sessions, builder) = config.builder()?;
    if flags.check {
        println!(
            "the configuration is right; requests would go to {}",
            sessions.base_url()
        );
        return Ok(ExitCode::SUCCESS);
    }
    log(format);
    let mut signals = Signals::new().map_err(|error| vec![format!("signals: {error}")])?;
    let rendered = metrics.clone();
    let builder = builder.metrics(move || rendered.render());
    let gateway = builder
        .build()
        .map_err(|problem| vec![problem.to_string()])?;
    tokio::spawn(async move {
        loop {
            // Empties the buckets of the histograms, which nobody may scrape.
            tokio::time::sleep(Duration::from_secs(5)).await;
            metrics.run_upkeep();
        }
    });
    let admin = gateway
        .admin_addr()
        .map(|address| format!("http://{address}"));
    tracing::info!(
        url = gateway.url(),
        admin = admin.unwrap_or_else(|| "off".to_owned()),
        upstream = sessions.base_url(),
        "serving"
    );
    let stop = gateway.stop();
    let stopping = tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping; a second signal ends the program at once");
        stop.stop();
        signals.next().await;
        std::process::exit(i32::from(UNCLEAN));
    });
    let served = gateway.serve().await;
    let report = sessions.shutdown(shutdown_timeout).await;
    stopping.abort();
    let is_clean = served.cut_off == 0 && report.is_clean();
    tracing::info!(cut_off = served.cut_off, is_clean, "stopped");
    println!("requests cut off: {}; sessions: {report}", served.cut_off);
    Ok(if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(UNCLEAN)
    })
}

fn read(flags: &Flags) -> Result<Config, Vec<String>> {
    let path = flags
        .config
        .clone()
        .or_else(|| env::var_os("SIPHER_GATEWAY_CONFIG").map(Into::into));
    let file = path.map(|path| {
        let text = fs::read_to_string(&path);
        text.map_err(|error| {
            vec![format!(
                "--config: `{}` cannot be read: {error}",
                path.display()
            )]
        })
    });
    let file = file.transpose()?;
    Config::read(flags.settings(), env::vars_os(), file.as_deref())
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Json => lines.json().init(),
        _ => lines.init(),
    }
}
