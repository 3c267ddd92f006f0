//! `ExceptionGroup`: several errors as one.

use std::error::Error;
use std::io;

use asyncio_task::ExceptionGroup;

#[test]
fn in_one_line_it_shows_its_message_and_every_error() {
    let group = ExceptionGroup::new("uploads", vec!["one", "two"]);
    assert_eq!(group.to_string(), "uploads (2): one; two");
    assert_eq!((group.message(), group.len(), group.is_empty()), ("uploads", 2, false));
    assert_eq!(group.iter().copied().collect::<String>(), "onetwo");
}

#[test]
fn as_a_tree_it_shows_groups_within_it_and_errors_of_several_lines() {
    let lines = ExceptionGroup::new("lines", vec![String::from("first\nsecond")]);
    let outer = ExceptionGroup::new("outer", vec![lines]);
    let expected = [
        "outer (1)",
        "+---------------- 1 ----------------",
        "| lines (1)",
        "| +---------------- 1 ----------------",
        "| | first",
        "| | second",
        "| +------------------------------------",
        "+------------------------------------",
    ];
    assert_eq!(format!("{outer:#}").lines().collect::<Vec<_>>(), expected);
}

#[test]
fn it_is_an_error_that_question_marks_take_whatever_it_holds() {
    fn of_boxes() -> Result<(), Box<dyn Error + Send + Sync>> {
        let inner: Box<dyn Error + Send + Sync> = "disk full".into();
        Err(ExceptionGroup::new("writes", vec![inner]))?
    }
    fn of_groups() -> Result<(), Box<dyn Error>> {
        let inner = ExceptionGroup::new("inner", vec![io::Error::other("gone")]);
        Err(ExceptionGroup::new("outer", vec![inner]))?
    }
    assert_eq!(of_boxes().unwrap_err().to_string(), "writes (1): disk full");
    let error = of_groups().unwrap_err();
    let group = error.downcast_ref::<ExceptionGroup<ExceptionGroup<io::Error>>>().unwrap();
    assert_eq!(group.errors()[0].errors()[0].to_string(), "gone");
    assert!(error.source().is_none());
}

#[test]
fn splitting_gives_none_for_a_part_that_would_be_empty() {
    let group = || ExceptionGroup::new("numbers", vec![1, 2, 3]);
    let (all, none) = group().split(|_| true);
    assert_eq!((all, none), (Some(group()), None));
    let (none, all) = group().split(|_| false);
    assert_eq!((none, all), (None, Some(group())));
    let nested = ExceptionGroup::new("outer", vec![group()]);
    assert_eq!(nested.clone().split_inner(|_| true), (Some(nested), None));
}
