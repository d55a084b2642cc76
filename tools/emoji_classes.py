"""The classes of the embedded dataset: which published subgroups of emojis make up which class.

Subgroups are merged until most classes have forty pictures. Labels follow the alphabet, so that the first
half (the base classes) and the second (the new ones) both hold things, signs and beings.
"""

from __future__ import annotations

Subgroup = tuple[str, str]  # group and subgroup, as in Unicode's emoji-test and OpenMoji's table

FACES = (
    "smiling",
    "affection",
    "tongue",
    "hand",
    "neutral-skeptical",
    "sleepy",
    "unwell",
    "hat",
    "glasses",
    "concerned",
    "negative",
)
HANDS = ("fingers-open", "fingers-partial", "single-finger", "fingers-closed", "prop")

GROUPS: dict[str, list[Subgroup]] = {
    "arrow or button": [("symbols", "arrow"), ("symbols", "av-symbol")],
    "bird or fish": [("animals-nature", "animal-bird"), ("animals-nature", "animal-marine")],
    "boxed letter": [("extras-unicode", "regional-indicator")],
    "brand logo": [("extras-openmoji", "brand")],
    "building": [
        ("travel-places", "place-building"),
        ("travel-places", "place-religious"),
        ("travel-places", "hotel"),
    ],
    "climate and environment": [("extras-openmoji", "climate-environment")],
    "clock": [("travel-places", "time")],
    "clothing": [("objects", "clothing")],
    "country flag": [("flags", "country-flag")],
    "drink or dessert": [("food-drink", f"{kind}") for kind in ("drink", "dishware", "food-sweet")],
    "electronic device": [
        ("objects", "computer"),
        ("objects", "phone"),
        ("objects", "light-video"),
        ("extras-openmoji", "technology"),
    ],
    "emergency sign": [("extras-openmoji", "emergency")],
    "face": [("smileys-emotion", f"face-{kind}") for kind in FACES],
    "fruit or vegetable": [("food-drink", "food-fruit"), ("food-drink", "food-vegetable")],
    "game or party": [("activities", kind) for kind in ("game", "arts-crafts", "event", "award-medal")],
    "gender symbol": [("extras-openmoji", "queer-symbols"), ("symbols", "gender")],
    "geometric shape": [("symbols", "geometric")],
    "hand gesture": [("people-body", f"hand-{kind}") for kind in HANDS] + [("people-body", "hands")],
    "healthcare sign": [("extras-openmoji", "healthcare"), ("objects", "medical")],
    "heart or emotion": [("smileys-emotion", "heart"), ("smileys-emotion", "emotion")],
    "household item": [("objects", "household"), ("objects", "lock"), ("objects", "other-object")],
    "insect or reptile": [("animals-nature", f"animal-{kind}") for kind in ("bug", "reptile", "amphibian")],
    "interface icon": [("extras-openmoji", "ui-element")],
    "landscape": [("travel-places", f"place-{kind}") for kind in ("other", "geographic", "map")],
    "letter or number": [("symbols", "alphanum"), ("symbols", "keycap")],
    "mammal": [("animals-nature", "animal-mammal")],
    "meal": [("food-drink", "food-prepared"), ("food-drink", "food-asian")],
    "music or sound": [("objects", kind) for kind in ("musical-instrument", "music", "sound")],
    "office supply": [("objects", kind) for kind in ("office", "writing", "book-paper", "mail")],
    "person": [("people-body", f"person{kind}") for kind in ("", "-gesture", "-activity", "-fantasy")],
    "person at work": [("people-body", "person-role")],
    "plant": [
        ("animals-nature", "plant-flower"),
        ("animals-nature", "plant-other"),
        ("extras-openmoji", "gardening"),
    ],
    "sport": [("activities", "sport"), ("people-body", "person-sport")],
    "tool": [("objects", "tool"), ("objects", "science")],
    "vehicle": [("travel-places", f"transport-{kind}") for kind in ("ground", "water", "air")],
    "warning sign": [("symbols", "warning"), ("symbols", "transport-sign")],
    "weather": [("travel-places", "sky-weather")],
    "zodiac or religion": [("symbols", "zodiac"), ("symbols", "religion")],
}

CLASS_OF_SUBGROUP: dict[Subgroup, str] = {pair: name for name, pairs in GROUPS.items() for pair in pairs}
