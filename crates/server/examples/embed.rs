//! A broker inside another program: starts one on the address given (a free loopback port if none is) and stops it
//! when standard input ends.

use std::error::Error;

use longwire_server::settings::Settings;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let settings = Settings { listen: vec![address.parse()?], ..Settings::default() };
    let running = longwire_server::start(&settings)?;
    println!("listening on {:?}; end the input to stop", running.addresses());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    running.stop();
    Ok(())
}
