//! Bad input, one row a test, by the ids of the requirements: each gets the stated answer, and nobody
//! else notices.
//!
//! Every file has its tables and one `check`. [`hostile`] starts the hubs and proves after each table
//! that they still serve; [`repeated`] throws a sample of the rows at a hub thousands of times.

mod hostile;

mod http;

mod frames;

mod envelopes;

mod values;

mod json;

mod channels;

mod tokens;

mod issuers;

mod tls;

mod configuration;

mod data_folder;

mod cli;

mod cli_life;

mod repeated;
