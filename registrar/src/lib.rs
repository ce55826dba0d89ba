//! A Reliable Server Pooling registrar: one handlespace shard a core on io_uring.
