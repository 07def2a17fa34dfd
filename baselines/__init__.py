"""Published models of crystal properties, rewritten to one interface: same batches, loop and metric for all.

| file | model | paper |
|---|---|---|
| `cgcnn` | CGCNN | Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018) |
| `matformer` | Matformer | Yan et al., NeurIPS 2022 |
| `potnet` | PotNet | Lin et al., ICML 2023 |
| `schnet` | SchNet | Schütt et al., J. Chem. Phys. 148, 241722 (2018) |
| `megnet` | MEGNet | Chen et al., Chem. Mater. 31, 3564 (2019) |
| `m3gnet` | M3GNet | Chen and Ong, Nat. Comput. Sci. 2, 718 (2022) |

Each file holds one frozen config with the published setting as its defaults and one module; its docstring
gives the formulas and everything that differs from the published code. No model imports another.

The graphs that they share are in `graphs`.
"""
