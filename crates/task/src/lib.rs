//! A coroutine being driven
