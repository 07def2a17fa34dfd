"""Matbench v0.1: the eight tasks that predict a number from a structure, each with five official folds.

Addresses and checksums are those of matminer's table of data sets, mean absolute deviations those of
matbench's; the digests of the folds are of the id lists inside the package matbench 0.6.
"""

from crystalformer.data.datasets.references import MATERIALS_PROJECT
from crystalformer.data.datasets.row import Dataset, OfficialSplit, Part, SourceFile, Target

SEED = 18012019  # of the folds, Dunn et al., 2020

_MATBENCH = "A. Dunn et al., npj Computational Materials 6 (2020) 138, doi:10.1038/s41524-020-00406-3"
_MP = f"Materials Project: {MATERIALS_PROJECT}"
_ELASTIC = f"M. de Jong et al., Scientific Data 2 (2015) 150009, doi:10.1038/sdata.2015.9; {_MP}"
_DIELECTRIC = f"I. Petousis et al., Scientific Data 4 (2017) 160134, doi:10.1038/sdata.2016.134; {_MP}"
_PHONONS = "G. Petretto et al., Scientific Data 5 (2018) 180065, doi:10.1038/sdata.2018.65"
_PEROVSKITES = "I. Castelli et al., Energy & Environmental Science 5 (2012) 9034, doi:10.1039/C2EE22341D"
_JDFT2D = "K. Choudhary et al., Scientific Reports 7 (2017) 5179, doi:10.1038/s41598-017-05402-0"


def _row(
    task: str,
    key: str,
    crystals: int,
    target: str,
    values: Target,
    sha256: str,
    citation: str,
    license: str,
    folds: tuple[str, str, str, str, str],
) -> Dataset:
    return Dataset(
        name=f"matbench-{task}",
        label=f"Matbench v0.1 {task}",
        targets={target: values},
        crystals=crystals,
        parts=(
            Part(
                format="matbench",
                files=(
                    SourceFile(
                        f"matbench_{task}.json.gz",
                        (f"https://ml.materialsproject.org/projects/matbench_{task}.json.gz",),
                        sha256=sha256,
                    ),
                ),
                keys={target: key},
                id_key=f"mb-{task.replace('_', '-')}",
                crystals=crystals,
            ),
        ),
        splits={target: OfficialSplit(rule="folds", seed=SEED, fold_sha256=folds)},
        citation=f"{_MATBENCH}; {citation}",
        license=license,
    )


ROWS = (
    _row(
        task="mp_e_form",
        key="e_form",
        crystals=132752,
        target="formation_energy_per_atom",
        values=Target("eV/atom", "Formation energy", mad=1.006, usual=(-5.0, 3.0)),
        sha256="dedcb1d4ba2e3e50dbdd45ba5bc647a00e9c2bcf8f8bf556dc8e92caa39eb21f",
        citation=_MP,
        license="CC BY 4.0 (Materials Project)",
        folds=(
            "8b225cc45b0302cd375672ad76117aba5e518923026e9ccb72c6864037a1d29e",
            "1974fc8c9a146ded8563b4432f2b2b60eb13924fa2840908106b0f8be7abc99e",
            "8d44a79715f5a910a7806e9cdc2c96f6db6bd1b9a5b47046fca99bf77f0dbc68",
            "34076aaa889d8684ec92bec8fd6d9e9a1fb85d2979b741f5e1684c127e516130",
            "f5280720d11b7720111b615611ea4cee4aa95696a8b3c7e8d011a6e433a6eba4",
        ),
    ),
    _row(
        task="mp_gap",
        key="gap pbe",
        crystals=106113,
        target="band_gap",
        values=Target("eV", "Band gap (PBE)", mad=1.327, usual=(0.0, 10.0)),
        sha256="58b65746bd88329986ed66031a2ac1369c7c522f7bc9f9081528e07097c2c057",
        citation=_MP,
        license="CC BY 4.0 (Materials Project)",
        folds=(
            "1a327faaa8ce593d7af83fc28f023442b6e9280a192c1b7b16d730d64befe1af",
            "dad5439dc09eebc249933d5b9906811fc9389eca145681c87a750eb9ae493902",
            "d336bd6cfde2d7a9981fb7490b80fd102c8df8220af5dcbcb76c82e9ffdd892a",
            "9fb1578d8ec512ef39f853605c58f25549eba4435f3fd32fbb8c2f44212a91e7",
            "f1479d35757813ba098ad1599d85f9b27f132e51e9caf8a28a727d9d841a6eb1",
        ),
    ),
    _row(
        task="log_kvrh",
        key="log10(K_VRH)",
        crystals=10987,
        target="log10_K_VRH",
        values=Target("log10(GPa)", "Bulk modulus (log10 of K_VRH)", mad=0.2897, usual=(0.5, 2.7)),
        sha256="44b113ddb7e23aa18731a62c74afa7e5aa654199e0db5f951c8248a00955c9cd",
        citation=_ELASTIC,
        license="CC BY 4.0 (Materials Project)",
        folds=(
            "5cd6347d65a1d07065f960b8651851e5cd53c921b4f64a591424eb6c59e3f1f2",
            "f08e982f1a31159589d3099a51688d9741b6a52ab0d20acb2cff988310d29700",
            "7438c0025a778122c4b3b7521317283f1685b1a08ec9d286107a7075d2700e6e",
            "9008add7d538a55233e2bc856abe8e5950783e5f9cf935ad7d01f5b7613c8ac5",
            "9d52cd5d56f25c76e5d3bf5b5004c2dc128386f9e7b25c4a3e9153d889a4bc83",
        ),
    ),
    _row(
        task="log_gvrh",
        key="log10(G_VRH)",
        crystals=10987,
        target="log10_G_VRH",
        values=Target("log10(GPa)", "Shear modulus (log10 of G_VRH)", mad=0.2931, usual=(0.0, 2.5)),
        sha256="098af941f4c663270f1fe21abf20ffad6fb85ecbfcba5786ceac03983ac29da7",
        citation=_ELASTIC,
        license="CC BY 4.0 (Materials Project)",
        folds=(
            "77dc611037b2c1daf6e3c289b77b94e9501479f5752250b0c71a4fa4a07dde4f",
            "cf7b90a2749204117ce5b61b286862dd667ca5145aff07caa3e56ac66022e8bb",
            "03d5f1095a3619208b286cd783d7287413c25f0e536b8fe1b0783838ee07ca5f",
            "8afd847dc7343bfa75bb004c0cb8bc813298e0a4cc6779091ac4fe6fb1c3069e",
            "fed39abe6176c9dbcfa1237cd8cfcaa98a4920c7ea6ebedfecb6ef191a5f8191",
        ),
    ),
    _row(
        task="dielectric",
        key="n",
        crystals=4764,
        target="refractive_index",
        values=Target("unitless", "Refractive index", mad=0.8085, usual=(1.0, 8.0)),
        sha256="83befa09bc2ec2f4b6143afc413157827a90e5e2e42c1eb507ccfa01bf26a1d6",
        citation=_DIELECTRIC,
        license="CC BY 4.0 (Materials Project)",
        folds=(
            "86bbbcbdf90d0046fbb1c23c98ab4639a33457635cfc6b038c771ee3275f07ad",
            "7f2c61f00d18edd4fff234ee047b3ff5b365bdce6b6f7369410a9e403457d313",
            "a4fd3048255b5ce34dcc8ca732188eebdb30675257e9ac6bea5c4b6c84a85a69",
            "99010918607739c05451dce7cccde6dd928adb08594ee30b0d264c05c1d130e9",
            "b3b0da5a4191bcbf4bcc7a870acc2afe063164c8562fbbca2c5b03894e193165",
        ),
    ),
    _row(
        task="phonons",
        key="last phdos peak",
        crystals=1265,
        target="last_phonon_dos_peak",
        values=Target("cm^-1", "Last peak of the phonon density of states", mad=323.8, usual=(50.0, 2500.0)),
        sha256="4db551f21ec5f577e6202725f10e34dfc509aa7df3a6bdaac497da7f6dbbb9b3",
        citation=_PHONONS,
        license="not stated by the source",
        folds=(
            "30afdc84aa7e2fc33b4154fbcf969f3fe4a63932e70f4edab79a9af7cf93d2b9",
            "0546bbf76939800249f3d0181a1faaec15955b0c2b81e50cee38233a5113caf8",
            "0b6ea4275e57198c5ca554a477c75e0921c32bb36024dd842391625a4ade7689",
            "5e6a72581aacf1a435225687badfa1ddec82c47acfd906eac13cb583a0dcf9c8",
            "2fd63dab7eb5768b3e31e064624ad1603ec1726c494575e02b67576c945d18f0",
        ),
    ),
    _row(
        task="perovskites",
        key="e_form",
        crystals=18928,
        target="perovskite_formation_energy",
        values=Target(
            "eV/unit cell", "Formation energy of the perovskite cell", mad=0.566, usual=(-1.5, 5.0)
        ),
        sha256="4641e2417f8ec8b50096d2230864468dfa08278dc9d257c327f65d0305278483",
        citation=_PEROVSKITES,
        license="not stated by the source",
        folds=(
            "68e946fa519b9a36e456b559b96004df24b103b17f30cd5bb9d2ebd4fe83c61c",
            "2dc55f9cea8bf5ad95e2eb885529368b9c034bbb21b1f0ca9340bd73a2a7f811",
            "6b669b2e76be8a8e4b2b78e0d40459358b1b4df8eaac03f3230e0a2fe920e9c1",
            "5753be7ca1e74080cf2ee9d227ece12fe7b4c6486f3a8f3615b5fc616b2c566f",
            "fec0742093f33c32234bbd435ecc1eaca03cf92b32358246e6f0610e0b6a6e8f",
        ),
    ),
    _row(
        task="jdft2d",
        key="exfoliation_en",
        crystals=636,
        target="exfoliation_energy",
        values=Target("meV/atom", "Exfoliation energy", mad=67.2, usual=(10.0, 1000.0)),
        sha256="26057dc4524e193e32abffb296ce819b58b6e11d1278cae329a2f97817a4eddf",
        citation=_JDFT2D,
        license="public domain (NIST)",
        folds=(
            "ad5ae7d2deb2372e3e5342e194e381ace7b1c90622416eab5c9cc0b30175e735",
            "2c9141fe6a4715ef2fced382d65567a5f2a53116147667285e06a053dcbda950",
            "918ef249a83cd0d88b1fdf94c0cd040b750150168eebb9b278cf0eab7087c855",
            "5dbde5d62179aec97d25558fb936f8bfb2a6d4c0924ce9a263804fbd18e199d8",
            "ba5c27d8b874bbb5bfc66893904502fc46e6db1e0f0519b31a595cc47dab0b59",
        ),
    ),
)
