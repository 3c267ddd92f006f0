//! Name lookup.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use asyncio_executor::getaddrinfo;
use asyncio_loop::run;
use futures_lite::future::{block_on, poll_once};

/// Any port will do: nobody connects.
const HTTP: u16 = 80;

#[test]
fn a_numeric_address_needs_no_thread() {
    block_on(async {
        let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        for address in addresses {
            let answer = poll_once(Box::pin(getaddrinfo(&address.to_string(), HTTP))).await;
            assert_eq!(answer.expect("answered at once").unwrap(), [(address, HTTP).into()]);
        }
    });
}

#[test]
fn localhost_has_a_loopback_address_and_the_port_that_was_asked_for() {
    let addresses = run(async { getaddrinfo("localhost", HTTP).await }).unwrap().unwrap();
    assert!(!addresses.is_empty());
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == HTTP));
}

#[test]
fn what_is_no_name_is_an_error() {
    // Never sent to a name server: a NUL cannot even be handed to the resolver.
    let error = run(async { getaddrinfo("no\0name", 1).await }).unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
