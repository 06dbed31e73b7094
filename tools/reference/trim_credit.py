"""Copies the reference files of `credit` without the arrays that the tests do not need or that others hold.

    python trim_credit.py FROM_FOLDER TO_FOLDER

Dropped: leading eigenvectors (their sign is arbitrary), the W block where the whole Hessian is there, and in
the largest cases the feedback signals and RTRL, which the tests compute on the smaller ones.
"""
import os
import sys

import numpy as np

DROP = {
    "A_tanh_mse": {"hessW", "hessW_top_vecs"},
    "B_relu_ce_code": {"hessW_top_vecs"},
    "C_relu_leaky_filtered": {"hessW_top_vecs", "g_fb", "Y"},
    "I_seqdigits": {"hessW_top_vecs", "rtrl_dW", "rtrl_dU", "rtrl_db", "eligibility_final"},
}


def main(source, target):
    for name in sorted(os.listdir(source)):
        if not name.endswith(".npz") or name.startswith("K_"):
            continue
        stem = name[:-4]
        arrays = np.load(os.path.join(source, name))
        kept = {key: arrays[key] for key in arrays.files if key not in DROP.get(stem, ())}
        np.savez_compressed(os.path.join(target, name), **kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
