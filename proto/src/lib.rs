//! Reliable Server Pooling as sans-IO state machines: registrar, pool element, pool user.
