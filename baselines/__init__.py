"""Published models of crystal properties, rewritten to one interface: same batches, loop and metric for all.

| file | model | paper |
|---|---|---|
| `cgcnn` | CGCNN | Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018) |
| `schnet` | SchNet | Schütt et al., J. Chem. Phys. 148, 241722 (2018) |
| `megnet` | MEGNet | Chen et al., Chem. Mater. 31, 3564 (2019) |
| `gatgnn` | GATGNN | Louis et al., Phys. Chem. Chem. Phys. 22, 18141 (2020) |
| `m3gnet` | M3GNet | Chen and Ong, Nat. Comput. Sci. 2, 718 (2022) |
| `alignn` | ALIGNN | Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021) |
| `matformer` | Matformer | Yan et al., NeurIPS 2022 |
| `potnet` | PotNet | Lin et al., ICML 2023 |
| `icomformer` | iComFormer | Yan, Fu, Qian, Qian and Ji, ICLR 2024 |
| `ecomformer` | eComFormer | the same |

Each file holds one frozen config with the published setting as its defaults and one module; its docstring
gives the formulas and everything that differs from the published code. No model imports another.

The graphs that they share are in `graphs`. `floors` is what every table has beside them: the training mean
and a random forest of compositions.
"""
