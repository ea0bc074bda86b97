//! A broker inside another program: starts one on the address given (a free loopback port if none is), with settings
//! given as `name=value`, and stops it when standard input ends.

use std::error::Error;

use longwire_server::settings::Settings;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let mut settings = Settings { listen: vec![address.parse()?], ..Settings::default() };
    for argument in std::env::args().skip(2) {
        let (name, value) = argument.split_once('=').ok_or("settings are given as name=value")?;
        settings.set(name, value)?;
    }
    let running = longwire_server::start(&settings)?;
    println!("listening on {:?}; end the input to stop", running.addresses());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    running.stop();
    Ok(())
}
