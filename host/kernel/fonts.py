import json

try:
    from matplotlib import font_manager
except ImportError:
    names = set()
else:
    names = {font.name for font in font_manager.fontManager.ttflist}
with open("families.json", "w") as f:
    json.dump(sorted(names), f)
