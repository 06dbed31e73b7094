//! Networks with shared weights against the reference files of convolutions.

use hesse::flatness::{ConvBound, Geometry, LayerGeometry, OverLayers};
use hesse::network::{Activation, Architecture, Network};

use crate::{npz, relative};

/// conv - φ - pool - conv - φ - dense, as `spec` says.
fn network(spec: &[f64]) -> Network<f64> {
    let at = |i: usize| spec[i] as usize;
    let activation = if at(9) == 1 { Activation::Tanh } else { Activation::Relu };
    assert_eq!(at(11), 1, "stride");
    let first =
        Architecture::new([at(0), at(1), at(1)]).convolution(at(2), at(3), at(4), activation);
    let pooled = if at(10) == 0 { first.average_pool(2) } else { first.max_pool(2) };
    let second = pooled.convolution(at(5), at(6), at(7), activation).flatten();
    second.dense(at(8), Activation::Identity).build().unwrap()
}

#[test]
fn measures_and_bounds_of_convolutional_networks() {
    for name in ["conv_tanh_avg_ce", "conv_relu_max_mse"] {
        let arrays = npz::golden(&format!("flatness/{name}.npz"));
        let get = |key: &str| arrays[key].1.as_slice();
        let network = network(get("spec"));
        let of = || Geometry::of_rows(&network, get("theta"), get("X")).unwrap().weight_norms();
        let r = of().run().unwrap();
        let check = |key: &str, got: &[f64]| {
            let error = relative(got, get(key));
            assert!(error <= 1e-11, "{name} {key}: {error:e}, {got:?} {:?}", get(key));
        };
        let by_sample = |f: &dyn Fn(&LayerGeometry) -> Vec<f64>, layers: &[LayerGeometry]| {
            let columns: Vec<Vec<f64>> = layers.iter().map(f).collect();
            let row = |i: usize| columns.iter().map(move |c| c[i]).collect::<Vec<_>>();
            (0..r.samples).flat_map(row).collect::<Vec<f64>>()
        };
        assert!(r.reads_input && r.layers.len() == 3);
        check("in_norm", &by_sample(&|l| l.jacobian.norms.clone(), &r.layers));
        check("J_smax", &by_sample(&|l| l.jacobian.spectral_norms(), &r.layers));
        check("J_fro", &by_sample(&|l| l.jacobian.frobenius.clone(), &r.layers));
        let blocks: Vec<f64> = (0..r.samples)
            .flat_map(|i| {
                r.layers.iter().flat_map(move |l| [l.weight_squares[i], l.bias_squares[i]])
            })
            .collect();
        check("grad_block_fro2", &blocks);
        check("S", &[r.trace()]);
        check("mls", &[r.mls()]);
        check("nmls", &[r.nmls(OverLayers::Sum).unwrap()]);
        let norms: Vec<f64> = r.layers.iter().map(|l| l.weight_norm.unwrap()).collect();
        check("op_spec_norm", &norms);
        let code: Vec<f64> =
            r.layers.iter().map(|l| l.weight_frobenius.powi(2) * l.positions as f64).collect();
        check("code_norm2", &code);
        check("patch_smin", &by_sample(&|l| l.patch_smallest.clone(), &r.layers[..2]));
        let code = r.bounds_with_epsilon(ConvBound::ReferenceCode, 1e-4).unwrap();
        check("harm_code", &[code.mean_square_amplifier()]);
        check("nmls_bound_code", &[code.nmls().unwrap().rhs()]);
        assert!(!code.nmls().unwrap().theorem);
        for convention in [ConvBound::Untied, ConvBound::PatchRank] {
            let bounds = r.bounds(convention).unwrap();
            for chain in [bounds.mls(), bounds.nmls(), bounds.volume(), bounds.nvr_by_layers()] {
                let chain = chain.unwrap();
                assert!(chain.holds() && chain.theorem, "{name} {convention:?}: {chain:?}");
            }
        }
        // Norms of gradients from Gram matrices, without weighted sums, are the same.
        let plain = of().adaptive(false).run().unwrap();
        assert!(relative(&plain.parameter_squares(), &r.parameter_squares()) < 1e-12);
    }
}
