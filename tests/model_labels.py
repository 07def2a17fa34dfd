"""Names and parameter counts of the models in the run folders of the tests."""

LABELS = {
    "crystalformer": "Crystalformer", "crystalframer": "CrystalFramer", "cgcnn": "CGCNN", "schnet": "SchNet",
    "megnet": "MEGNet", "gatgnn": "GATGNN", "m3gnet": "M3GNet", "alignn": "ALIGNN", "matformer": "Matformer",
    "potnet": "PotNet", "icomformer": "iComFormer", "ecomformer": "eComFormer",
    "mean": "Training mean", "forest": "Random forest",
}  # fmt: skip
PARAMETERS = {
    "crystalformer": 853_505, "crystalframer": 951_809, "cgcnn": 96_641, "schnet": 155_905,
    "megnet": 167_761, "gatgnn": 122_874, "m3gnet": 231_709, "alignn": 4_026_753, "matformer": 2_782_849,
    "potnet": 1_751_809, "icomformer": 4_892_417, "ecomformer": 12_459_137,
}  # fmt: skip
