"""Each byte layout of docs/formats.md, written field by field by a program that shares nothing with the product.

    python3 test/vectors/layouts.py > test/vectors/layouts.tsv
"""

import kept
import sent
import stored
from layout import Layout

print("# Printed by layouts.py. After each `layout NAME LENGTH`: where a field is, its length, STRUCT/NUMBER/FIELD,")
print("# its bytes in hex (`xx*n`: n times), its value if it is a number or a text. What no field covers is 0.")
for make in stored.LAYOUTS + sent.LAYOUTS + kept.LAYOUTS:
    made = make()
    for layout in [made] if isinstance(made, Layout) else made:
        print("\n".join(layout.lines()))
