//! The tokens of the instruction sets of x86-64.
//!
//! A token is an empty value that only `new` makes, and only where it has found
//! the features of the instruction set. Holding one is the proof that code
//! compiled for these features can run.

/// Hands the features of an instruction set to another macro. No other place
/// names them: a token looks for them, and what takes it is compiled for them.
macro_rules! features {
    (Avx2, $then:ident! { $($rest:tt)* }) => {
        $then! { (enable = "avx2", enable = "fma") $($rest)* }
    };
    (Avx512, $then:ident! { $($rest:tt)* }) => {
        $then! { (enable = "avx512f", enable = "avx512bw") $($rest)* }
    };
    (Vnni, $then:ident! { $($rest:tt)* }) => {
        $then! { (enable = "avx512f", enable = "avx512bw", enable = "avx512vnni") $($rest)* }
    };
}

/// Defines the token of an instruction set of these features.
macro_rules! token {
    (($(enable = $feature:tt),*) $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name(());

        impl $name {
            /// The token, where the processor has the instructions.
            pub(crate) fn new() -> Option<Self> {
                ($(std::arch::is_x86_feature_detected!($feature))&&*).then_some(Self(()))
            }
        }
    };
}

features!(
    Avx2,
    token! {
        /// AVX2 and FMA: two registers of eight lanes.
        Avx2
    }
);
features!(
    Avx512,
    token! {
        /// AVX-512F and BW: one register of sixteen lanes.
        Avx512
    }
);
features!(
    Vnni,
    token! {
        /// AVX-512F, BW and VNNI: products of four bytes are summed by one instruction.
        Vnni
    }
);

impl From<Vnni> for Avx512 {
    /// The token of what VNNI adds to: all of its features are among VNNI's in
    /// [`features`].
    fn from(_: Vnni) -> Self {
        Self(())
    }
}

/// Defines methods of a token whose bodies are compiled for these features,
/// and in which the intrinsics of them are therefore safe to call.
macro_rules! instructions {
    ($features:tt $($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            #[expect(unsafe_code, reason = "the token is the proof that the features are there")]
            fn $name(self, $($arg: $type),*) -> $result {
                #[inline]
                #[target_feature $features]
                fn compiled($($arg: $type),*) -> $result $body
                // SAFETY: `self` exists only where `new` has found all of the
                // features that the function is compiled for; both come from
                // the same line of `features`.
                unsafe { compiled($($arg),*) }
            }
        )*
    };
}

/// Defines the method of a token that runs a kernel in a function compiled for
/// these features.
macro_rules! entry {
    ($features:tt $token:ident, $method:ident, $kernel:ident) => {
        #[inline(always)]
        #[expect(unsafe_code, reason = "the token is the proof that the features are there")]
        fn $method(self, kernel: impl $kernel) {
            #[target_feature $features]
            fn compiled(token: $token, kernel: impl $kernel) {
                kernel.run(token);
            }
            // SAFETY: as in `instructions`.
            unsafe { compiled(self, kernel) }
        }
    };
}

pub(super) use {entry, features, instructions};
