//! Where a network's input has the channels, rows and columns of an image.

use recert_graph::{Builder, Dim, Extent, Input, InputLayout, Model, Shape};

use crate::{Error, ErrorKind, ImageShape, Setting};

/// The extents of an engine's input after the batch, and the order of an image's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) dims: Vec<usize>,
    /// Whether channels are last; else the order is channels, rows, columns.
    pub(crate) nhwc: bool,
}

impl Layout {
    /// The shape of a batch of this size, or of any.
    pub(crate) fn shape(&self, batch: Option<usize>) -> Shape {
        let batch = batch.map_or(Extent::Batch(1), Extent::Fixed);
        let dims = self.dims.iter().copied().map(Extent::Fixed);
        std::iter::once(batch).chain(dims).collect()
    }

    /// Whether the network's operators, as far as `outputs` need them, fit together for
    /// such an input; an operator that the graph's reading does not know fits nothing.
    pub(crate) fn fits(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
        batch: Option<usize>,
    ) -> bool {
        let graph = Builder::new(model)
            .outputs(outputs)
            .input_shape(input, self.shape(batch))
            .build();
        graph.is_ok()
    }
}

/// How images of shape `image` are laid out for the input of `model`, to read `outputs`.
///
/// What the file leaves open is as the images are. Where both orders of channels, rows and
/// columns fit what it states, the first layers decide: ONNX's own order `[c, h, w]` is
/// taken unless they fit `[h, w, c]` alone.
pub(crate) fn of(
    model: &Model,
    input: &Input,
    outputs: &[&str],
    image: ImageShape,
    fixed_batch: Option<usize>,
) -> Result<Layout, Error> {
    let mut fitting = orders(input, image);
    let stated: Vec<Option<usize>> = input.dims.iter().skip(1).map(Dim::fixed).collect();
    fitting.retain(|layout| {
        let mut pairs = stated.iter().zip(&layout.dims);
        input.layout == InputLayout::Unstated
            || (layout.dims.len() == stated.len()
                && pairs.all(|(stated, &size)| stated.is_none_or(|stated| stated == size)))
    });
    match fitting.len() {
        0 => return Err(misfit(model.name(), input, image)),
        1 => return Ok(fitting.swap_remove(0)),
        _ => {}
    }
    // The whole network where it is known, else the first layer with weights.
    let mut nodes = model.graph_proto().node.iter();
    let layer = nodes.find(|node| matches!(node.op_type(), "Conv" | "Gemm" | "MatMul"));
    let layer = layer.and_then(|node| node.output.first());
    let layer: Vec<&str> = layer.into_iter().map(String::as_str).collect();
    let batches = match fixed_batch {
        Some(batch) => vec![Some(batch)],
        None => vec![None, Some(1)],
    };
    for outputs in [outputs, &layer] {
        for &batch in &batches {
            let fits = |layout: &Layout| layout.fits(model, &input.name, outputs, batch);
            if let Some(position) = fitting
                .iter()
                .position(fits)
                .filter(|_| !outputs.is_empty())
            {
                return Ok(fitting.swap_remove(position));
            }
        }
    }
    let message = format!(
        "{}: input '{}' states neither where its channels are nor how many, and no first layer \
         shows it: export it with the shape of its images",
        model.name(),
        input.name,
    );
    Err(Error::new(ErrorKind::Shape, message))
}

/// The orders in which an input of this layout may take the image's values, the likelier
/// first.
fn orders(input: &Input, image: ImageShape) -> Vec<Layout> {
    let ImageShape {
        channels,
        height,
        width,
    } = image;
    let first = || Layout {
        dims: vec![channels, height, width],
        nhwc: false,
    };
    let last = || Layout {
        dims: vec![height, width, channels],
        nhwc: true,
    };
    // All values along the one axis that may hold them.
    let flat = |rank: usize| {
        let mut dims = vec![1; rank];
        let long = input
            .dims
            .get(1..)
            .unwrap_or_default()
            .iter()
            .position(|dim| *dim != Dim::Fixed(1));
        if let Some(size) = dims.get_mut(long.unwrap_or(0)) {
            *size = image.len();
        }
        Layout { dims, nhwc: false }
    };
    // A list of values for an input of images, where one order is possible: of one channel, or
    // of one pixel. Lists of colours come channel by channel and pixel by pixel.
    let listed = || {
        let stated: Option<Vec<usize>> = input.dims[1..].iter().map(Dim::fixed).collect();
        let one_order = !is_list_of_colours(input, image);
        stated
            .filter(|dims| is_list(image) && one_order && dims.iter().product::<usize>() == width)
            .map(|dims| Layout { dims, nhwc: false })
    };
    match input.layout {
        InputLayout::Nchw { .. } => std::iter::once(first()).chain(listed()).collect(),
        InputLayout::Nhwc { .. } => std::iter::once(last()).chain(listed()).collect(),
        InputLayout::Flat { .. } => vec![flat(input.dims.len() - 1)],
        InputLayout::Unstated if is_list(image) => vec![flat(1), first(), last()],
        InputLayout::Unstated => vec![first(), last(), flat(1)],
        // Without channels, of images of one; without rows, of images of one.
        InputLayout::Open if input.dims.len() == 3 => {
            let mut all = Vec::new();
            if channels == 1 {
                all.push(vec![height, width]);
            }
            if height == 1 && channels > 1 {
                all.push(vec![channels, width]);
            }
            let layout = |dims| Layout { dims, nhwc: false };
            all.into_iter().map(layout).collect()
        }
        InputLayout::Open => vec![first(), last()],
        _ => Vec::new(),
    }
}

/// Whether the data are lists of values, whose rows and channels nothing states.
fn is_list(image: ImageShape) -> bool {
    image.channels == 1 && image.height == 1
}

/// Whether the data are lists of as many values as the input's images of several channels
/// have, and more than one pixel.
fn is_list_of_colours(input: &Input, image: ImageShape) -> bool {
    let (InputLayout::Nchw { c, h, w } | InputLayout::Nhwc { h, w, c }) = input.layout else {
        return false;
    };
    // What the input leaves open may be anything that makes whole images.
    let stated = [Some(c), h, w].into_iter().flatten().product::<usize>();
    let is_open = h.is_none() || w.is_none();
    let fits = image.width == stated || (is_open && image.width.is_multiple_of(stated));
    is_list(image) && c > 1 && image.width > c && fits
}

/// That the images are not those that the network takes.
fn misfit(name: &str, input: &Input, image: ImageShape) -> Error {
    let show = |size: Option<usize>| size.map_or_else(|| "any".to_owned(), |size| size.to_string());
    let wanted = match input.layout {
        InputLayout::Nchw { c, h, w } | InputLayout::Nhwc { h, w, c } => {
            format!(
                "{c} x {} x {} (channels x height x width)",
                show(h),
                show(w)
            )
        }
        InputLayout::Flat { d } => format!("{} values", show(d)),
        _ => {
            let dims: Vec<String> = input.dims.iter().map(Dim::to_string).collect();
            format!("shape [{}]", dims.join(", "))
        }
    };
    if is_list_of_colours(input, image) {
        let message = format!(
            "{name} takes images of {wanted}, but the data are lists of {} values, which do not \
             say whether they are ordered by channel (as CIFAR's own files) or by pixel (as most \
             images): store them with their axes, as npy or npz of [N, C, H, W] or [N, H, W, C] \
             (numpy's reshape)",
            image.len(),
        );
        return Error::new(ErrorKind::Shape, message).about(Setting::ImageSize);
    }
    let message = format!(
        "{name} takes images of {wanted}, but the data's are {image} (channels x height x width): \
         give the data this network was trained on"
    );
    Error::new(ErrorKind::Shape, message).about(Setting::ImageSize)
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::Net;

    use super::*;

    const IMAGE: ImageShape = ImageShape {
        channels: 3,
        height: 8,
        width: 6,
    };
    const ROW: ImageShape = ImageShape {
        channels: 1,
        height: 1,
        width: 64,
    };

    fn found(net: &Net, image: ImageShape) -> Result<Layout, Error> {
        let model = net.model();
        let input = model.input().unwrap();
        of(&model, &input, &["y"], image, input.fixed_batch)
    }

    /// A network without layers.
    fn plain(dims: &[i64]) -> Net {
        Net::new(13)
            .input("x", dims)
            .output("y", &[-1, -1])
            .node("Flatten", &["x"], "y")
    }

    #[test]
    fn images_are_laid_out_as_the_file_states() {
        let table: &[(&[i64], ImageShape, &[usize], bool)] = &[
            (&[-1, 3, 8, 6], IMAGE, &[3, 8, 6], false),
            (&[-1, 3, -1, -1], IMAGE, &[3, 8, 6], false),
            (&[-1, 8, 6, 3], IMAGE, &[8, 6, 3], true),
            (&[-1, -1, 8, 6], IMAGE, &[3, 8, 6], false),
            (&[-1, -1, 6, -1], IMAGE, &[8, 6, 3], true),
            (&[-1, 144], IMAGE, &[144], false),
            // A row of values stays where the file has it.
            (&[-1, 64], ROW, &[64], false),
            (&[1, 1, 1, 64], ROW, &[1, 1, 64], false),
            (&[1, 1, 64, 1], ROW, &[1, 64, 1], false),
            (&[1, 64, 1, 1], ROW, &[64, 1, 1], false),
            (&[1, 1, 64], ROW, &[1, 64], false),
            (&[1, 64, 1], ROW, &[64, 1], false),
            (&[-1, 1, 1, -1], ROW, &[1, 1, 64], false),
            // A list of values for images, and images for a list.
            (&[-1, 1, 8, 8], ROW, &[1, 8, 8], false),
            (&[-1, 8, 8, 1], ROW, &[8, 8, 1], false),
            (
                &[-1, 8, 8],
                ImageShape {
                    channels: 1,
                    height: 8,
                    width: 8,
                },
                &[8, 8],
                false,
            ),
        ];
        for &(dims, image, wanted, nhwc) in table {
            let layout =
                found(&plain(dims), image).unwrap_or_else(|error| panic!("{dims:?}: {error}"));
            assert_eq!((&layout.dims[..], layout.nhwc), (wanted, nhwc), "{dims:?}");
        }
        for (dims, image) in [
            (&[-1, 3, 6, 8][..], IMAGE),
            (&[-1, 4, -1, -1], IMAGE),
            (&[-1, 145], IMAGE),
            (&[-1, 8, 6], IMAGE),
            (&[-1, 1, 8, 9], ROW),
            // The order of a list of values would be a guess.
            (
                &[-1, 5, 4, 3],
                ImageShape {
                    channels: 1,
                    height: 1,
                    width: 60,
                },
            ),
        ] {
            let error = found(&plain(dims), image)
                .err()
                .unwrap_or_else(|| panic!("{dims:?}"));
            assert_eq!(error.kind(), ErrorKind::Shape, "{dims:?}: {error}");
        }
    }

    #[test]
    fn lists_of_colours_are_refused_in_every_order() {
        let list = |width| ImageShape { width, ..ROW };
        for dims in [
            &[-1, 3, 8, 6][..],
            &[-1, 8, 6, 3],
            &[1, 3, 8, 6],
            &[-1, 3, -1, -1],
            &[-1, 3, 8, -1],
        ] {
            let error = found(&plain(dims), list(144)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Shape, "{dims:?}: {error}");
            for part in ["lists of 144 values", "by channel", "[N, H, W, C]"] {
                assert!(error.to_string().contains(part), "{dims:?}: {error}");
            }
        }
        // Other lists are not these images in any order.
        let error = found(&plain(&[-1, 3, 8, 6]), list(145)).unwrap_err();
        assert!(error.to_string().contains("1 x 1 x 145"), "{error}");
        // A pixel has one order, and a network of lists takes them as they are.
        for dims in [&[-1, 3, 1, 1][..], &[-1, 1, 1, 3], &[-1, 3]] {
            let layout = found(&plain(dims), list(3)).unwrap();
            assert_eq!(
                layout.dims,
                dims[1..].iter().map(|&d| d as usize).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn what_the_file_leaves_open_the_first_layer_decides() {
        let open: &[i64] = &[-1, -1, -1, -1];
        let conv = |net: Net, input: &str| {
            net.noise("w", &[4, 3, 3, 3])
                .node("Conv", &[input, "w"], "c")
                .node("GlobalAveragePool", &["c"], "p")
                .node("Flatten", &["p"], "y")
        };
        let net = || Net::new(13).input("x", open).output("y", &[-1, -1]);
        let nchw = found(&conv(net(), "x"), IMAGE).unwrap();
        assert_eq!((&nchw.dims[..], nchw.nhwc), (&[3, 8, 6][..], false));
        let perm = vec![recert_graph::testing::ints("perm", &[0, 3, 1, 2])];
        let nhwc = found(
            &conv(net().node_with("Transpose", &["x"], "t", perm), "t"),
            IMAGE,
        )
        .unwrap();
        assert_eq!((&nhwc.dims[..], nhwc.nhwc), (&[8, 6, 3][..], true));
        // Behind the layer, an operator that nobody knows.
        let unknown = net()
            .noise("w", &[4, 3, 3, 3])
            .node("Conv", &["x", "w"], "c")
            .node("Frobnicate", &["c"], "y");
        assert!(!found(&unknown, IMAGE).unwrap().nhwc);
        let error = found(&net().node("Frobnicate", &["x"], "y"), IMAGE).unwrap_err();
        assert!(error.to_string().contains("'x'"), "{error}");
    }
}
