//! Networks described in TOML files.
//!
//! The file is an [`Architecture`]: the shape of one sample, and the layers.
//!
//! ```toml
//! input = [784]
//!
//! [[layer]]
//! type = "dense"
//! outputs = 512
//! activation = "tanh"
//!
//! [[layer]]
//! type = "dense"
//! outputs = 10
//! ```

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hesse::network::{Architecture, LayerSpec};
use hesse::{Error, Real};
use hesse_kernels::Window;

use crate::failure::Failure;

/// More bytes than any description of a network needs.
const MOST_BYTES: u64 = 1 << 20;

/// More parameters, or features between layers, than any machine this program meets can hold
/// several times over. Sizes below it cannot overflow.
const MOST_NUMBERS: usize = 1 << 31;

/// Reads the network that the file at `path` describes.
///
/// # Errors
/// A file that cannot be read, is not TOML, has unknown keys, or describes no network; a network
/// of more than 2³¹ parameters or features.
pub fn read<T: Real>(path: &Path) -> Result<hesse::network::Network<T>, Failure> {
    let architecture = architecture(path)?;
    architecture.build::<T>().map_err(|error| about(path, error))
}

/// Reads the description alone, and checks that its sizes are sane.
///
/// # Errors
/// As [`read`].
pub fn architecture(path: &Path) -> Result<Architecture, Failure> {
    let text = text(path)?;
    let architecture: Architecture = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|text| format!("line {}: ", 1 + text.matches('\n').count()));
        about(path, format!("{}{}", line.unwrap_or_default(), error.message()))
    })?;
    sizes(&architecture).map_err(|message| about(path, message))?;
    Ok(architecture)
}

fn about(path: &Path, message: impl std::fmt::Display) -> Failure {
    Failure::input(format!("{}: {message}", path.display()))
}

fn text(path: &Path) -> Result<String, Failure> {
    let failed = |error| Error::io(path, error);
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(about(path, "expected a regular file, got something else"));
    }
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(about(path, format!("expected at most {MOST_BYTES} bytes, got more")));
    }
    Ok(text)
}

/// Checks that no product of sizes gets out of hand before anything is made of them.
fn sizes(architecture: &Architecture) -> Result<(), String> {
    let mut parameters = 0;
    let shape = architecture.input.clone();
    product(&shape)?;
    walk(shape, &architecture.layers, &mut parameters).map(|_| ())
}

/// The shape behind the layers.
fn walk(
    mut shape: Vec<usize>,
    layers: &[LayerSpec],
    parameters: &mut usize,
) -> Result<Vec<usize>, String> {
    for layer in layers {
        match layer {
            LayerSpec::Dense { outputs, .. } => {
                let inputs = shape.last().copied().unwrap_or(0);
                let weights = product(&[inputs.saturating_add(1), *outputs])?;
                *parameters = within(parameters.checked_add(weights), "parameters")?;
                if let Some(last) = shape.last_mut() {
                    *last = *outputs;
                }
                product(&shape)?;
            }
            LayerSpec::Recurrent { units, every_step, .. }
            | LayerSpec::LeakyRecurrent { units, every_step, .. } => {
                let inputs = shape.last().copied().unwrap_or(0);
                let sums = inputs.saturating_add(*units).saturating_add(1);
                let weights = product(&[sums, *units])?;
                *parameters = within(parameters.checked_add(weights), "parameters")?;
                if let Some(last) = shape.last_mut() {
                    *last = *units;
                }
                // The states of all times, which are kept whether they are the output or not.
                product(&shape)?;
                if !every_step {
                    shape = vec![*units];
                }
            }
            LayerSpec::Convolution {
                outputs, kernel, stride, padding, dilation, groups, ..
            } => {
                let channels = shape.first().copied().unwrap_or(0) / groups.max(&1);
                let weights = product(&[channels.saturating_mul(kernel[0]), kernel[1], *outputs])?;
                let count = weights.checked_add(*outputs);
                *parameters =
                    within(parameters.checked_add(within(count, "parameters")?), "parameters")?;
                slide(&mut shape, *kernel, *stride, *padding, *dilation)?;
                if let Some(channels) = shape.first_mut() {
                    *channels = *outputs;
                }
                product(&shape)?;
            }
            LayerSpec::MaxPool { kernel, stride, padding }
            | LayerSpec::AveragePool { kernel, stride, padding } => {
                slide(&mut shape, *kernel, stride.unwrap_or(*kernel), *padding, [1, 1])?;
            }
            LayerSpec::GlobalAveragePool {} => shape.truncate(1),
            LayerSpec::Flatten {} => shape = vec![product(&shape)?],
            LayerSpec::Residual { layers, shortcut, onto_last_features } => {
                let behind = walk(shape.clone(), layers, parameters)?;
                walk(shape.clone(), shortcut, parameters)?;
                if !onto_last_features {
                    shape = behind;
                }
            }
            LayerSpec::LayerNorm { axes, affine: true, .. } => {
                let last = shape.iter().rev().take(*axes).copied().collect::<Vec<_>>();
                count(parameters, &[2, product(&last)?])?;
            }
            LayerSpec::Attention { heads, memory, tokens, .. } => {
                let all = shape.first().copied().unwrap_or(0);
                let (queries, keys) = match (memory, tokens) {
                    (0, 0) => (all, all),
                    (0, first) => (*first, all),
                    _ => (*tokens, *memory),
                };
                product(&[*heads, queries, keys])?;
                let rows = match memory {
                    0 => product(&[3, all])?,
                    _ => product(&[2, keys])?.saturating_add(queries),
                };
                shape = vec![queries, product(&shape)? / rows.max(1)];
            }
            LayerSpec::BatchNorm { affine: true, .. } => {
                count(parameters, &[2, shape.first().copied().unwrap_or(0)])?;
            }
            LayerSpec::Embedding { vocabulary, width } => {
                count(parameters, &[*vocabulary, *width])?;
                shape.push(*width);
                product(&shape)?;
            }
            LayerSpec::PatchEmbedding { patch, outputs, .. } => {
                // What does not fit is for the layer to say.
                let [channels, height, width] = shape[..] else { return Ok(shape) };
                count(parameters, &[product(&[channels, *patch, *patch])? + 1, *outputs])?;
                let side = (*patch).max(1);
                shape = vec![product(&[height / side, width / side])?, *outputs];
                product(&shape)?;
            }
            LayerSpec::PositionalEmbedding {} => count(parameters, &shape)?,
            LayerSpec::ClassToken {} => {
                count(parameters, &[shape.last().copied().unwrap_or(0)])?;
                if let Some(tokens) = shape.first_mut() {
                    *tokens += 1;
                }
                product(&shape)?;
            }
            LayerSpec::MeanTokens {} => shape = shape.last().copied().into_iter().collect(),
            LayerSpec::Slice { shape: part, .. } => {
                product(part)?;
                shape.clone_from(part);
            }
            LayerSpec::Repeat { times, layers } => {
                let mut once = 0;
                walk(shape.clone(), layers, &mut once)?;
                count(parameters, &[once, *times])?;
            }
            LayerSpec::Parallel { parts } => {
                let mut outputs: usize = 0;
                for part in parts {
                    product(&part.input)?;
                    let behind = product(&walk(part.input.clone(), &part.layers, parameters)?)?;
                    outputs = within(outputs.checked_add(behind), "numbers in an array")?;
                }
                shape = vec![outputs];
            }
            _ => {}
        }
    }
    Ok(shape)
}

/// Adds to the number of parameters.
fn count(parameters: &mut usize, factors: &[usize]) -> Result<(), String> {
    *parameters = within(parameters.checked_add(product(factors)?), "parameters")?;
    Ok(())
}

/// The shape after a window, and whether the padded image is of sane size. What is no image or does
/// not fit is left to the layer to name.
fn slide(
    shape: &mut [usize],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
) -> Result<(), String> {
    let [channels, height, width] = shape else { return Ok(()) };
    let side = |size: usize, padding: usize| padding.saturating_mul(2).saturating_add(size);
    product(&[*channels, side(*height, padding[0]), side(*width, padding[1])])?;
    if let Some(window) = Window::new([*height, *width], kernel, stride, padding, dilation) {
        [*height, *width] = window.outputs();
        // The rows of a tile hold a patch for every place of a row of the image.
        product(&[*channels, window.taps(), *width])?;
    }
    Ok(())
}

fn product(factors: &[usize]) -> Result<usize, String> {
    within(factors.iter().try_fold(1, |p: usize, &f| p.checked_mul(f)), "numbers in an array")
}

fn within(number: Option<usize>, what: &str) -> Result<usize, String> {
    let most = MOST_NUMBERS;
    match number {
        Some(number) if number <= most => Ok(number),
        Some(number) => Err(format!("{what}: expected at most {most}, got {number}")),
        None => Err(format!("{what}: expected at most {most}, got far more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hesse::network::{Activation, VisionTransformer};

    fn read_text(text: &str) -> Result<hesse::network::Network<f64>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let name = format!("{}: ", file.path().display());
        read(file.path()).map_err(|failure| {
            let line = failure.line();
            line.strip_prefix(&name).unwrap_or_else(|| panic!("{line}")).to_owned()
        })
    }

    #[test]
    fn a_description_is_read() {
        let text = "input = [2, 3]\n[[layer]]\ntype = \"flatten\"\n[[layer]]\ntype = \"dense\"\n\
                    outputs = 5\nactivation = \"leaky_relu(0.1)\"\n[[layer]]\ntype = \"residual\"\n\
                    [[layer.layer]]\ntype = \"dense\"\noutputs = 5\nbias = false\n";
        let network = read_text(text).unwrap();
        assert_eq!(network.parameter_count(), 6 * 5 + 5 + 25);
        assert_eq!((network.inputs(), network.outputs()), (6, 5));
    }

    #[test]
    fn a_leaky_layer_is_read() {
        let layer = |leak: &str| {
            let of = "input = [7, 3]\n[[layer]]\ntype = \"leaky_recurrent\"\nunits = 5\n";
            format!("{of}leak = {leak}\n")
        };
        let weights = 5 * (5 + 3);
        let network = read_text(&layer("{ voltage = [0.6] }")).unwrap();
        assert_eq!((network.parameter_count(), network.outputs()), (weights + 5, 5));
        let more = "every_step = true\nbias = false\nautapses = false\nreadout_filter = 0.9\n\
                    activation = \"relu\"\nthresholds = [0, 0, 0, 0, 0.5]\n";
        let text = layer("{ rate = [0, 0.1, 0.2, 0.3, 0.4] }") + more;
        let network = read_text(&text).unwrap();
        assert_eq!((network.parameter_count(), network.outputs()), (weights, 35));
        for (leak, message) in [
            ("{ voltage = [1.0] }", "leak: expected factors in [0, 1), got 1"),
            ("{ voltage = [0.1, 0.2] }", "leak: expected \"1 or 5 factors\", got 2"),
            (
                "{ current = [0.1] }",
                "line 2: unknown variant `current`, expected `voltage` or `rate`",
            ),
        ] {
            assert_eq!(read_text(&layer(leak)).unwrap_err(), message);
        }
        let text = layer("{ voltage = [0.6] }") + "thresholds = [1]\n";
        assert_eq!(read_text(&text).unwrap_err(), "thresholds: expected 5, got 1");
    }

    #[test]
    fn a_recurrent_layer_is_read() {
        let layer = "input = [7, 3]\n[[layer]]\ntype = \"recurrent\"\nunits = 5\n";
        let weights = 5 * (5 + 3);
        let network = read_text(layer).unwrap();
        assert_eq!((network.parameter_count(), network.outputs()), (weights + 5, 5));
        let text = format!(
            "{layer}every_step = true\nbias = false\nactivation = \"relu\"\n\
             recurrent_initializer = {{ kind = \"orthogonal\", gain = 1.5 }}\n\
             [[layer]]\ntype = \"dense\"\noutputs = 2\n"
        );
        let network = read_text(&text).unwrap();
        assert_eq!((network.parameter_count(), network.outputs()), (weights + 12, 14));
        let wrong = [
            ("input = [3]", "5", "recurrent layer: input: expected [time, features], got [3]"),
            ("input = [7, 3]", "0", "recurrent layer: units: expected a positive number, got 0"),
            (
                "input = [9000000, 3]",
                "9000",
                "numbers in an array: expected at most 2147483648, got 81000000000",
            ),
        ];
        for (input, units, message) in wrong {
            let text = format!("{input}\n[[layer]]\ntype = \"recurrent\"\nunits = {units}\n");
            assert_eq!(read_text(&text).unwrap_err(), message);
        }
    }

    #[test]
    fn what_the_builder_makes_reads_back() {
        let perceptron = Architecture::perceptron(&[4, 3, 2], Activation::Elu { alpha: 0.5 });
        let recurrent = Architecture::new([5, 4]).recurrent(3, Activation::Gelu, true).flatten();
        for built in [perceptron, recurrent] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), toml::to_string(&built).unwrap()).unwrap();
            assert_eq!(architecture(file.path()).unwrap(), built);
        }
        let built = Architecture::perceptron(&[4, 3, 2], Activation::Elu { alpha: 0.5 });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml::to_string(&built).unwrap()).unwrap();
        assert_eq!(architecture(file.path()).unwrap(), built);
        let built = Architecture::new([2, 9, 9])
            .convolution(3, 3, 1, Activation::Relu)
            .max_pool(2)
            .layer(LayerSpec::AveragePool { kernel: [1, 2], stride: Some([2, 1]), padding: [0, 1] })
            .global_average_pool();
        std::fs::write(file.path(), toml::to_string(&built).unwrap()).unwrap();
        assert_eq!(architecture(file.path()).unwrap(), built);
    }

    fn example(name: &str) -> hesse::network::Network<f64> {
        let path = format!("{}/networks/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        read(Path::new(&path)).unwrap_or_else(|failure| panic!("{}", failure.line()))
    }

    #[test]
    fn the_networks_of_the_papers_have_their_parameters() {
        let lenet = example("lenet5");
        assert_eq!((lenet.inputs(), lenet.outputs()), (3 * 32 * 32, 10));
        assert_eq!(lenet.parameter_count(), 62_006);
        let vgg = example("vgg5");
        assert_eq!((vgg.inputs(), vgg.outputs()), (3 * 32 * 32, 10));
        assert_eq!(vgg.parameter_count(), 97_018);
        // Convolutions start with deviation √(2/(9 C)) and without bias.
        let theta = hesse::network::Parameters::initialize(&vgg, 1).into_values();
        let (weight, bias) = theta[..16 * 27 + 16].split_at(16 * 27);
        assert!(bias.iter().all(|&b| b == 0.0));
        let square = weight.iter().map(|w| w * w).sum::<f64>() / 432.0;
        // Four standard errors of a variance from 432 normal numbers.
        assert!((square / (2.0 / 144.0) - 1.0).abs() < 4.0 * (2.0_f64 / 432.0).sqrt(), "{square}");
    }

    #[test]
    fn pairs_are_one_number_or_two() {
        let convolution = |rest: &str| {
            format!("input = [2, 6, 8]\n[[layer]]\ntype = \"convolution\"\noutputs = 3\n{rest}")
        };
        let count = |rest: &str| read_text(&convolution(rest)).map(|n| n.parameter_count());
        assert_eq!(count("kernel = 3"), Ok(3 * 2 * 9 + 3));
        assert_eq!(count("kernel = [2, 5]\nbias = false"), Ok(3 * 2 * 10));
        let outputs = |rest: &str| read_text(&convolution(rest)).map(|n| n.outputs());
        assert_eq!(outputs("kernel = 3\nstride = [2, 1]\npadding = [0, 2]"), Ok(3 * 2 * 10));
        let pool = "kernel = 1\n[[layer]]\ntype = \"max_pool\"\nkernel = [2, 3]\n";
        assert_eq!(outputs(pool), Ok(3 * 3 * 2));
        assert_eq!(outputs(&format!("{pool}stride = 1")), Ok(3 * 5 * 6));
        let global = format!("{pool}[[layer]]\ntype = \"global_average_pool\"");
        assert_eq!(outputs(&global), Ok(3));
        let wrong = count("kernel = [1, 2, 3]").unwrap_err();
        let want = "line 2: expected a number or a pair of numbers, none negative";
        assert!(wrong.starts_with(want), "{wrong}");
        for huge in [
            "kernel = [3, 1]\npadding = 9000000000000000000",
            "kernel = 3\npadding = 100000",
            "kernel = [1, 1000]\npadding = [0, 2000000]",
        ] {
            let got = count(huge).unwrap_err();
            assert!(got.starts_with("numbers in an array: expected at most 2147483648"), "{got}");
        }
        let got = count("kernel = 7").unwrap_err();
        assert!(got.starts_with("convolution: height of the kernel: expected at most"), "{got}");
    }

    #[test]
    fn the_small_vision_transformer_is_the_file_of_its_name() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/networks/vit_tiny.toml"));
        let built = architecture(path).unwrap();
        assert_eq!(built, VisionTransformer::tiny().architecture());
        // 12 · 192² + 13 · 192 of a block, and what is before and behind the six of them.
        let ends = 48 * 192 + 192 + 192 + 65 * 192 + 2 * 192 + 1930;
        assert_eq!(read::<f32>(path).unwrap().parameter_count(), 6 * 444_864 + ends);
    }

    #[test]
    fn a_residual_block_with_a_shortcut_is_read() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/networks/residual_block.toml"));
        let network = read::<f64>(path).unwrap();
        // Two maps and a projection without bias, three norms, and the readout.
        assert_eq!(network.parameter_count(), 64 * 32 + 32 * 32 + 64 * 32 + 6 * 32 + 330);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let dense = "[[layer]]\ntype = \"dense\"\n";
        let cases = [
            (String::new(), "line 1: missing field `input`"),
            ("input = [2]\n".into(), "line 1: missing field `layer`"),
            ("input = [2]\nlayer = []\n".into(), "network: layers: expected at least one"),
            ("input = [".into(), "line 1: "),
            (
                format!("input = [2]\nwidth = 3\n{dense}outputs = 1"),
                "line 2: unknown field `width`",
            ),
            (
                format!("input = [2]\n{dense}outputs = 1\nunits = 2"),
                "line 2: unknown field `units`",
            ),
            (
                format!("input = [2]\n{dense}outputs = 1\nactivation = \"tahn\""),
                "line 2: activation: expected one of identity, tanh",
            ),
            ("input = [2]\n[[layer]]\ntype = \"desne\"".into(), "line 3: unknown variant `desne`"),
            (format!("input = [2]\n{dense}outputs = 0"), "dense layer: outputs: expected"),
            (format!("input = [0]\n{dense}outputs = 2"), "network: input shape: expected"),
            (format!("input = []\n{dense}outputs = 2"), "network: input shape: expected"),
            (format!("input = [2]\n{dense}outputs = -2"), "line 2: invalid value"),
            (
                format!("input = [9000000000000000000, 3]\n{dense}outputs = 2"),
                "numbers in an array: expected at most 2147483648, got far more",
            ),
            (
                format!("input = [9000000000]\n{dense}outputs = 9000000000"),
                "numbers in an array: expected at most",
            ),
            (
                "input = [4, 2]\n[[layer]]\ntype = \"embedding\"\nvocabulary = 90000\nwidth = 90000"
                    .into(),
                "numbers in an array: expected at most 2147483648, got 8100000000",
            ),
            (
                "input = [4, 2]\n[[layer]]\ntype = \"repeat\"\ntimes = 5000\n[[layer.layer]]\n\
                 type = \"layer_norm\""
                    .into(),
                "repeat: times: expected 1 to 1024, got 5000",
            ),
            (
                "input = [9]\n[[layer]]\ntype = \"attention\"\nheads = 1".into(),
                "attention: input shape: expected [tokens, 3 width], got [9]",
            ),
            (
                "input = [3, 8, 8]\n[[layer]]\ntype = \"patch_embedding\"\npatch = 3\noutputs = 2"
                    .into(),
                "patch embedding: patch: expected a divisor of 8 and 8, got 3",
            ),
        ];
        for (text, message) in cases {
            let got = read_text(&text).unwrap_err();
            assert!(got.starts_with(message), "{text}\n{got}, expected {message}");
            assert_eq!(got.lines().count(), 1);
        }
    }
}
