//! Pool elements and pool users of Reliable Server Pooling for tokio applications.
