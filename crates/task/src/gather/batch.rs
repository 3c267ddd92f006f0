//! What can be gathered, lists and tuples alike, and what the outcome of one member counts for.

use std::future::IntoFuture;
use std::panic::Location;

use asyncio_loop::EventLoop;

use crate::builder::Builder;
use crate::gather::GatherError;
use crate::join_error::JoinError;
use crate::members::AnyTask;
use crate::output::Opaque;
use crate::task::Handle;

/// What [`gather`](crate::gather()) and its kin take: whatever can be iterated and gives futures, or a tuple of up to twelve
/// futures, each of a type of its own. Nobody else implements it.
///
/// `Shape` tells the two apart; it is always inferred.
pub trait Gatherable<Shape>: Sized {
    #[doc(hidden)]
    type Members: Members<Plain> + Members<Settled>;

    #[doc(hidden)]
    fn __spawn(self, event_loop: &EventLoop, site: &'static Location<'static>) -> Self::Members;
}

/// The shape of what can be iterated.
#[doc(hidden)]
#[derive(Debug)]
pub struct List(());

/// The shape of a tuple.
#[doc(hidden)]
#[derive(Debug)]
pub struct Tuple(());

/// One task of those that are gathered.
#[doc(hidden)]
pub struct Member<T>(Handle<T>);

/// The tasks that are gathered.
#[doc(hidden)]
pub trait Members<M: Mode> {
    /// What they give together.
    type Values;

    fn count(&self) -> usize;

    fn at(&self, index: usize) -> &dyn AnyTask;

    /// Says whether the task, which has ended, has done so in a way that leaves no value.
    fn has_failed(&self, index: usize) -> bool;

    /// How a task that has failed ended.
    fn failure(&self, index: usize) -> M::Error;

    /// What those give that have all ended and none of which has failed.
    fn values(&self) -> Self::Values;
}

/// How errors count.
#[doc(hidden)]
pub trait Mode {
    type Error: Failure;
}

/// What counts as the value of a task that gives `T`.
#[doc(hidden)]
pub trait Outcome<T>: Mode {
    type Value;

    fn is_failure(result: &Result<T, JoinError>) -> bool;

    fn split(result: Result<T, JoinError>) -> Result<Self::Value, Self::Error>;
}

/// Why there are no values.
#[doc(hidden)]
pub trait Failure: From<JoinError> {
    fn join_error(&self) -> Option<&JoinError>;
}

/// A panic or a cancellation is the end.
#[doc(hidden)]
#[derive(Debug)]
pub struct Plain(());

/// Nothing is: each outcome is a value.
#[doc(hidden)]
#[derive(Debug)]
pub struct Settled(());

/// An `Err` is the end as well.
#[doc(hidden)]
pub struct Fallible<E>(std::marker::PhantomData<E>);

impl Mode for Plain {
    type Error = JoinError;
}

impl<T> Outcome<T> for Plain {
    type Value = T;

    fn is_failure(result: &Result<T, JoinError>) -> bool {
        result.is_err()
    }

    fn split(result: Result<T, JoinError>) -> Result<T, JoinError> {
        result
    }
}

impl Mode for Settled {
    type Error = JoinError;
}

impl<T> Outcome<T> for Settled {
    type Value = Result<T, JoinError>;

    fn is_failure(_: &Result<T, JoinError>) -> bool {
        false
    }

    fn split(result: Result<T, JoinError>) -> Result<Self::Value, JoinError> {
        Ok(result)
    }
}

impl<E> Mode for Fallible<E> {
    type Error = GatherError<E>;
}

impl<T, E> Outcome<Result<T, E>> for Fallible<E> {
    type Value = T;

    fn is_failure(result: &Result<Result<T, E>, JoinError>) -> bool {
        !matches!(result, Ok(Ok(_)))
    }

    fn split(result: Result<Result<T, E>, JoinError>) -> Result<T, GatherError<E>> {
        result.map_err(GatherError::Join)?.map_err(GatherError::Failed)
    }
}

impl Failure for JoinError {
    fn join_error(&self) -> Option<&JoinError> {
        Some(self)
    }
}

impl<E> Failure for GatherError<E> {
    fn join_error(&self) -> Option<&JoinError> {
        match self {
            GatherError::Join(error) => Some(error),
            GatherError::Failed(_) => None,
        }
    }
}

impl<T> Member<T> {
    fn has_failed<M: Outcome<T>>(&self) -> bool {
        self.0.with_result(M::is_failure).unwrap_or(false)
    }

    fn failure<M: Outcome<T>>(&self) -> M::Error {
        match M::split(self.0.take()) {
            Ok(_) => unreachable!("it has failed"),
            Err(error) => error,
        }
    }

    fn value<M: Outcome<T>>(&self) -> M::Value {
        match M::split(self.0.take()) {
            Ok(value) => value,
            Err(_) => unreachable!("it has not failed"),
        }
    }
}

impl<I> Gatherable<List> for I
where
    I: IntoIterator<Item: IntoFuture<Output: 'static, IntoFuture: 'static>>,
{
    type Members = Vec<Member<<I::Item as IntoFuture>::Output>>;

    fn __spawn(self, event_loop: &EventLoop, site: &'static Location<'static>) -> Self::Members {
        self.into_iter().map(|future| member(event_loop, site, future)).collect()
    }
}

impl<M: Outcome<T>, T> Members<M> for Vec<Member<T>> {
    type Values = Vec<M::Value>;

    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, index: usize) -> &dyn AnyTask {
        &self[index].0
    }

    fn has_failed(&self, index: usize) -> bool {
        self[index].has_failed::<M>()
    }

    fn failure(&self, index: usize) -> M::Error {
        self[index].failure::<M>()
    }

    fn values(&self) -> Self::Values {
        self.iter().map(Member::value::<M>).collect()
    }
}

fn member<F>(
    event_loop: &EventLoop,
    site: &'static Location<'static>,
    future: F,
) -> Member<F::Output>
where
    F: IntoFuture<Output: 'static, IntoFuture: 'static>,
{
    Member(Builder::new().spawn::<_, Opaque>(event_loop, site, future.into_future()))
}

macro_rules! tuples {
    ($($count:literal: $($name:ident $index:tt)+;)+) => {$(
        impl<$($name),+> Gatherable<Tuple> for ($($name,)+)
        where
            $($name: IntoFuture<Output: 'static, IntoFuture: 'static>,)+
        {
            type Members = ($(Member<$name::Output>,)+);

            fn __spawn(
                self,
                event_loop: &EventLoop,
                site: &'static Location<'static>,
            ) -> Self::Members {
                ($(member(event_loop, site, self.$index),)+)
            }
        }

        impl<M, $($name),+> Members<M> for ($(Member<$name>,)+)
        where
            M: $(Outcome<$name> +)+ Mode,
        {
            type Values = ($(<M as Outcome<$name>>::Value,)+);

            fn count(&self) -> usize {
                $count
            }

            fn at(&self, index: usize) -> &dyn AnyTask {
                match index {
                    $($index => &self.$index.0,)+
                    _ => unreachable!("there are {} members", $count),
                }
            }

            fn has_failed(&self, index: usize) -> bool {
                match index {
                    $($index => self.$index.has_failed::<M>(),)+
                    _ => unreachable!("there are {} members", $count),
                }
            }

            fn failure(&self, index: usize) -> M::Error {
                match index {
                    $($index => self.$index.failure::<M>(),)+
                    _ => unreachable!("there are {} members", $count),
                }
            }

            fn values(&self) -> Self::Values {
                ($(self.$index.value::<M>(),)+)
            }
        }
    )+};
}

tuples! {
    1: A 0;
    2: A 0 B 1;
    3: A 0 B 1 C 2;
    4: A 0 B 1 C 2 D 3;
    5: A 0 B 1 C 2 D 3 E 4;
    6: A 0 B 1 C 2 D 3 E 4 F 5;
    7: A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    8: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
    9: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8;
    10: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9;
    11: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10;
    12: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11;
}
