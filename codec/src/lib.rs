//! Encoding and decoding of the ASAP and ENRP messages of RFC 5352, 5353 and 5354.
