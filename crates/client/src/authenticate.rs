//! Who the client is, where that changes from one connection to the next: fresh credentials, and enhanced authentication.
//!
//! Both are the application's code, called by the driver without a lock held.

use std::error::Error;
use std::fmt;
use std::pin::Pin;

/// Any error of the application's.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// User name and password of one connection.
///
/// ```
/// use longwire_client::Credentials;
///
/// let credentials = Credentials::new("kitchen", "secret");
/// // 5.0 takes a token alone:
/// let credentials = Credentials::token("eyJhbGciOiJFZERTQSJ9");
/// # let _ = credentials;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
}

impl Credentials {
    /// Both.
    pub fn new(user_name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        Credentials { user_name: Some(user_name.into()), password: Some(password.into()) }
    }

    /// A password without a user name. 5.0 only.
    pub fn token(token: impl Into<Vec<u8>>) -> Self {
        Credentials { user_name: None, password: Some(token.into()) }
    }
}

impl fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

type FreshCredentials = Pin<Box<dyn Future<Output = Result<Credentials, BoxError>> + Send>>;

/// Makes credentials before each connection.
pub(crate) type CredentialsSource = Box<dyn FnMut() -> FreshCredentials + Send>;

/// Enhanced authentication (5.0): the client's side of a method such as SCRAM.
///
/// One value lives as long as its client. Its functions are called on the client's task, so they must not block; what takes
/// long is done beforehand, by `Options::credentials_with`, which is awaited before each connection.
///
/// ```
/// use longwire_client::{Authenticator, BoxError, Options};
///
/// /// A method that has the client answer a number by the next one.
/// struct NextNumber;
///
/// impl Authenticator for NextNumber {
///     fn method(&self) -> &str {
///         "NEXT-NUMBER"
///     }
///
///     fn start(&mut self) -> Result<Option<Vec<u8>>, BoxError> {
///         Ok(None)
///     }
///
///     fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
///         let number: u64 = std::str::from_utf8(challenge)?.parse()?;
///         Ok(Some((number + 1).to_string().into_bytes()))
///     }
/// }
///
/// let options = Options::new("localhost").authenticator(NextNumber);
/// ```
pub trait Authenticator: Send {
    /// The Authentication Method; always the same.
    fn method(&self) -> &str;

    /// A connection, or a re-authentication, begins: the client's first data, if the method has the client begin.
    ///
    /// # Errors
    /// There is nothing to begin with. The client ends.
    fn start(&mut self) -> Result<Option<Vec<u8>>, BoxError>;

    /// The server asks: the answer.
    ///
    /// # Errors
    /// There is none. The client ends.
    fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, BoxError>;

    /// The server is satisfied, with this last data, empty if there was none: a method that authenticates the server too
    /// checks it here, before anything else is sent.
    ///
    /// # Errors
    /// The server is not the one it should be. The client ends.
    fn finish(&mut self, data: &[u8]) -> Result<(), BoxError> {
        let _ = data;
        Ok(())
    }
}

/// A method whose answers are a function of the challenge.
pub(crate) struct Answering<F> {
    pub(crate) method: String,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) answer: F,
}

impl<F: FnMut(&[u8]) -> Option<Vec<u8>> + Send> Authenticator for Answering<F> {
    fn method(&self) -> &str {
        &self.method
    }

    fn start(&mut self) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(self.data.clone())
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
        (self.answer)(challenge).map(Some).ok_or_else(|| "no answer is known".into())
    }
}
