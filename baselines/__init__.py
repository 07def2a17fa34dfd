"""Published models of crystal properties, rewritten to one interface: same batches, loop and metric for all.

| file | model | paper |
|---|---|---|
| `cgcnn` | CGCNN | Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018) |
| `icomformer` | iComFormer | Yan, Fu, Qian, Qian and Ji, ICLR 2024 |
| `ecomformer` | eComFormer | the same |

Each file holds one frozen config with the published setting as its defaults and one module; its docstring
gives the formulas and everything that differs from the published code. No model imports another.

The graphs that they share are in `graphs`.
"""
