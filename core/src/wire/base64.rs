//! Base64 as the wire has it: RFC 4648, standard alphabet, padding required.
