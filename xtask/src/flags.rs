//! The command line.

#![allow(missing_docs, unreachable_pub, reason = "the macro writes the structs")]

xflags::xflags! {
    /// The chores of this workspace.
    cmd xtask {
        /// Prints this help.
        default cmd help {}

        /// Builds each library alone and runs its tests and doctests, with each of its feature sets.
        cmd test-matrix {
            /// Prints the packages and their feature sets, and runs nothing.
            optional --list
            /// Takes this package only; may be given several times.
            repeated -p, --package name: String
            /// Takes this one feature set only: names with commas between, or an empty word for none.
            optional --features set: String
            /// Stops at the first failure.
            optional --fail-fast
        }

        /// Fails when a crate depends on its own or a higher tier.
        cmd tiers {}

        /// Checks what rustc cannot see: README headings, test names, module docs, paths.
        cmd tidy {}

        /// Writes docs/parity.md: which behaviours of asyncio a test shows, and which are missing.
        cmd parity {
            /// Writes nothing; fails when docs/parity.md is out of date.
            optional --check
            /// Records the order of events anew with python3, into tests/parity/*.log, and writes no page.
            optional --record
        }

        /// Measures our programs and the peers' in turn, prints ratios, and writes docs/benchmarks.md.
        cmd bench {
            /// Ends within minutes: fewer operations, fewer sizes.
            optional --quick
            /// Only checks that the programs compile, which builds the peers.
            optional --check
            /// Takes the rows with one of these in their name, and writes no page.
            repeated names: String
        }

        /// Runs each fuzz target for a minute; skips them where nightly or cargo-fuzz is missing.
        cmd fuzz {
            /// Installs cargo-fuzz first.
            optional --install
            /// Runs each target for this long instead.
            optional --seconds seconds: u32
        }

        /// Runs everything that must hold before a change lands.
        cmd ci {}
    }
}

impl Help {
    pub(crate) fn run(&self) {
        println!("{}", Xtask::HELP_);
    }
}
