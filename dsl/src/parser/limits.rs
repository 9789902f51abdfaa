//! How large a program text may be. The limits are far above any program that a search or a person
//! writes; they keep the time and the stack that a hostile text can use within bounds.

/// Bytes of the whole text.
pub const TEXT_BYTES: usize = 1 << 20;
/// Characters of one line, comments and doc string aside.
pub const LINE_CHARACTERS: usize = 10_000;
/// Statements, after nested right-hand sides have been taken apart.
pub const STATEMENTS: usize = 10_000;
/// Variables: parameters and locals.
pub const VARIABLES: usize = 60_000;
/// Brackets within brackets, signs before a value, and powers of powers.
pub const NESTING: usize = 64;
/// Characters of a name.
pub const NAME_CHARACTERS: usize = 250;
