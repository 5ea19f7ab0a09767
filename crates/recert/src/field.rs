//! The parameters of a job, by name: what an error or a remark is about.

macro_rules! fields {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// A parameter of a job.
        ///
        /// ```
        /// assert_eq!(recert::Field::UntilRadius.name(), "until_radius");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Field {
            $(#[doc = $doc] $variant,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, in lower case and with underscores.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

fields! {
    AllBut "all_but" "The layers to leave as they are.",
    Alpha "alpha" "The failure probability of one certificate.",
    Among "among" "The number of candidates that a network is chosen among.",
    As "as" "The engines that compute a network.",
    Batch "batch" "Images in one call of an engine.",
    Budget "budget" "Evaluations of modified networks over all inputs.",
    Calibration "calibration" "The images to calibrate on.",
    CalibrationLimit "calibration_limit" "How many images to calibrate on.",
    Change "change" "What a layer becomes.",
    Classes "classes" "The names of the classes, in the network's order.",
    Cells "cells" "The most cells of a transformation's parameters for one input.",
    Complete "complete" "Whether branch and bound decides what bounds leave open.",
    Crop "crop" "The side of the central square cut from an image.",
    Data "data" "The inputs.",
    Device "device" "The device that computes.",
    Engine "engine" "The engine that computes.",
    Eps "eps" "The distance within which images are to have one class.",
    Error "error" "The width of an interval.",
    Every "every" "The distance between the inputs taken.",
    Export "export" "The file that a network was exported to, and the network's name.",
    Gamma "gamma" "From which bound on the modified network's own counts come first.",
    Inputs "inputs" "The most inputs to look at.",
    Into "into" "The ledger of its own that a recertification is written to.",
    LabelOffset "label_offset" "What is added to every label.",
    Layers "layers" "The layers to change.",
    Limit "limit" "The most inputs to take.",
    MaxMemory "max_memory" "The most bytes that the tensors of one image may take.",
    Mean "mean" "The mean that normalisation subtracts.",
    Memory "memory" "The most bytes for the coefficients of bounds.",
    Method "method" "The ways to recertify, or to verify.",
    Model "model" "A network's file.",
    N "n" "Estimation samples per input.",
    N0 "n0" "Selection samples per input.",
    NP "n_p" "Samples of a modified network per input.",
    Offset "offset" "The first input taken.",
    OneSided "one_sided" "Whether the runner-up's probability is left out of the bound.",
    Original "original" "The original network's file.",
    Out "out" "The file to write.",
    Output "output" "The output of a network that is read.",
    Partial "partial" "Whether shards may be missing.",
    P "p" "The share of samples that answer the class.",
    Percentile "percentile" "The part of the calibration values that is covered.",
    Precision "precision" "The arithmetic.",
    Prune "prune" "The share of weights set to zero.",
    Radius "radius" "A radius to certify.",
    Rerun "rerun" "Samples to run again.",
    Samples "samples" "Samples of an input that networks are compared on.",
    Scale "scale" "The factor after normalisation.",
    Search "search" "The ledger of a search.",
    Seed "seed" "The seed of the noise.",
    Shard "shard" "Which part of the inputs a process runs.",
    Sigma "sigma" "The standard deviation of the noise.",
    Space "space" "The file of what a search looks among.",
    Std "std" "The standard deviation that normalisation divides by.",
    TargetAcr "target_acr" "The average certified radius to reach.",
    Threads "threads" "The number of workers.",
    Timeout "timeout" "How long one input may take.",
    UntilRadius "until_radius" "The radius at which an input is done.",
    Versus "versus" "The network to compare with.",
    Versions "versions" "Other files to compare with a network.",
    Via "via" "The faster network to certify through.",
    ViaBudget "via_budget" "Evaluations of the network that is certified through a faster one.",
    WeightBits "weight_bits" "Bits of a quantized weight.",
    WeightsWithin "weights_within" "How far the weights of a family of networks may be from the file's.",
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
