"""Published models of crystal properties, rewritten to one interface: same batches, loop and metric for all.

| file | model | paper |
|---|---|---|
| `alignn` | ALIGNN | Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021) |
| `cgcnn` | CGCNN | Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018) |
| `gatgnn` | GATGNN | Louis et al., Phys. Chem. Chem. Phys. 22, 18141 (2020) |

Each file holds one frozen config with the published setting as its defaults and one module; its docstring
gives the formulas and everything that differs from the published code. No model imports another.

The graphs that they share are in `graphs`.
"""
