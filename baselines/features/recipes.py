"""The published recipe that several models share.

ALIGNN (Choudhary & DeCost, npj Comput. Mater. 2021), Matformer (Yan et al., NeurIPS 2022), PotNet (Lin et
al., ICML 2023) and both ComFormers (Yan et al., ICLR 2024) train by it; what differs stands in their entries.
"""

from crystalformer.training.config import TrainConfig

ONE_CYCLE = TrainConfig(
    epochs=500,
    batch_size=64,
    lr=1e-3,
    loss="mse",
    optimizer="adamw",
    beta1=0.9,
    beta2=0.999,
    weight_decay=1e-5,
    schedule="one_cycle",
    warmup=0.3,
    clip_norm=0.0,
    decay_norms=False,
    swa_epochs=0,
)
