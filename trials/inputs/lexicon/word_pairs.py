"""Word pairs that no rule of spelling gives: irregular forms, numbers, countries, opposites."""

from __future__ import annotations

_LISTS = {
    "plural": (
        "man men, woman women, child children, foot feet, tooth teeth, mouse mice, goose geese, "
        "person people, life lives, wife wives, knife knives, leaf leaves, wolf wolves, half "
        "halves, self selves, analysis analyses, crisis crises, criterion criteria, phenomenon "
        "phenomena"
    ),
    "past tense": (
        "give gave, take took, make made, come came, see saw, know knew, grow grew, throw "
        "threw, write wrote, drive drove, ride rode, rise rose, speak spoke, break broke, "
        "choose chose, begin began, sing sang, swim swam, drink drank, run ran, eat ate, fall "
        "fell, hold held, stand stood, bring brought, buy bought, think thought, teach taught, "
        "catch caught, seek sought, keep kept, sleep slept, feel felt, leave left, lose lost, "
        "send sent, spend spent, build built, win won, meet met, lead led, sell sold, tell "
        "told, say said, pay paid, hear heard, draw drew, wear wore, become became, forget "
        "forgot, get got, sit sat, fight fought, find found, shoot shot"
    ),
    "comparative": (
        "good better, bad worse, big bigger, hot hotter, easy easier, early earlier, heavy "
        "heavier, happy happier, healthy healthier, large larger, wide wider, safe safer, close "
        "closer, late later, simple simpler, wise wiser, low lower, old older, new newer"
    ),
    "superlative": (
        "good best, bad worst, big biggest, hot hottest, easy easiest, early earliest, heavy "
        "heaviest, happy happiest, large largest, wide widest, close closest, late latest, "
        "simple simplest, low lowest, old oldest, new newest"
    ),
    "re- prefix": (
        "write rewrite, build rebuild, use reuse, create recreate, start restart, place "
        "replace, think rethink, define redefine, open reopen, cycle recycle, calculate "
        "recalculate, load reload, name rename, organize reorganize, connect reconnect, "
        "discover rediscover, design redesign, produce reproduce, gain regain, generate "
        "regenerate, distribute redistribute, construct reconstruct, fill refill, new renew, "
        "arrange rearrange, direct redirect, tell retell"
    ),
    "number word to digit": (
        "zero 0, one 1, two 2, three 3, four 4, five 5, six 6, seven 7, eight 8, nine 9, ten "
        "10, eleven 11, twelve 12, thirteen 13, fourteen 14, fifteen 15, sixteen 16, seventeen "
        "17, eighteen 18, nineteen 19, twenty 20, thirty 30, forty 40, fifty 50, sixty 60, "
        "seventy 70, eighty 80, ninety 90, hundred 100, thousand 1000"
    ),
    "country to capital": (
        "France Paris, Germany Berlin, Italy Rome, Spain Madrid, Portugal Lisbon, England "
        "London, Ireland Dublin, Scotland Edinburgh, Wales Cardiff, Austria Vienna, Belgium "
        "Brussels, Switzerland Bern, Netherlands Amsterdam, Denmark Copenhagen, Sweden "
        "Stockholm, Norway Oslo, Finland Helsinki, Poland Warsaw, Hungary Budapest, Romania "
        "Bucharest, Bulgaria Sofia, Greece Athens, Turkey Ankara, Russia Moscow, Ukraine Kiev, "
        "Serbia Belgrade, Croatia Zagreb, Egypt Cairo, Kenya Nairobi, Nigeria Abuja, Ethiopia "
        "Addis, Iran Tehran, Iraq Baghdad, Syria Damascus, Israel Jerusalem, Lebanon Beirut, "
        "Japan Tokyo, China Beijing, Korea Seoul, Taiwan Taipei, Thailand Bangkok, Vietnam "
        "Hanoi, Indonesia Jakarta, Philippines Manila, India Delhi, Nepal Kathmandu, Pakistan "
        "Islamabad, Afghanistan Kabul, Canada Ottawa, Cuba Havana, Peru Lima, Chile Santiago, "
        "Argentina Buenos, Australia Canberra, Bangladesh Dhaka, Colombia Bogota, Venezuela "
        "Caracas, Libya Tripoli, Tunisia Tunis"
    ),
    "country to adjective": (
        "France French, Germany German, Italy Italian, Spain Spanish, Portugal Portuguese, "
        "England English, Ireland Irish, Scotland Scottish, Wales Welsh, Austria Austrian, "
        "Belgium Belgian, Switzerland Swiss, Netherlands Dutch, Denmark Danish, Sweden Swedish, "
        "Norway Norwegian, Finland Finnish, Poland Polish, Hungary Hungarian, Romania Romanian, "
        "Greece Greek, Turkey Turkish, Russia Russian, Ukraine Ukrainian, Egypt Egyptian, "
        "Nigeria Nigerian, Ethiopia Ethiopian, Iran Iranian, Iraq Iraqi, Syria Syrian, Israel "
        "Israeli, Japan Japanese, China Chinese, Korea Korean, Thailand Thai, Vietnam "
        "Vietnamese, Indonesia Indonesian, India Indian, Pakistan Pakistani, Afghanistan "
        "Afghan, Canada Canadian, America American, Mexico Mexican, Cuba Cuban, Brazil "
        "Brazilian, Argentina Argentine, Australia Australian, Africa African, Europe European, "
        "Asia Asian, Britain British, Rome Roman, Kenya Kenyan, Lebanon Lebanese, Peru "
        "Peruvian, Chile Chilean, Colombia Colombian, California Californian, Palestine "
        "Palestinian"
    ),
    "male to female": (
        "man woman, men women, boy girl, boys girls, he she, his her, him her, himself herself, "
        "father mother, fathers mothers, son daughter, sons daughters, brother sister, brothers "
        "sisters, husband wife, king queen, prince princess, uncle aunt, nephew niece, "
        "grandfather grandmother, dad mom, sir madam, actor actress, god goddess, male female, "
        "males females, gentleman lady, gentlemen ladies, bull cow, hero heroine, groom bride, "
        "emperor empress, duke duchess, waiter waitress, wizard witch, lion lioness, monk nun, "
        "guy gal, lord lady"
    ),
    "opposite": (
        "hot cold, big small, high low, good bad, old young, fast slow, early late, long short, "
        "strong weak, light dark, hard soft, rich poor, happy sad, wet dry, full empty, open "
        "closed, near far, thick thin, wide narrow, deep shallow, heavy lightweight, loud "
        "quiet, clean dirty, right wrong, true false, first last, left right, up down, inside "
        "outside, above below, before after, always never, many few, more less, most least, "
        "begin end, buy sell, win lose, push pull, love hate, increase decrease, accept reject, "
        "success failure, positive negative, internal external, public private, ancient modern, "
        "major minor, maximum minimum, north south, east west, northern southern, eastern "
        "western, summer winter, day night, morning evening, life death, war peace, friend "
        "enemy, question answer, import export, add subtract, multiply divide, enter exit, "
        "attack defend, create destroy, remember forget, rural urban, active passive, vertical "
        "horizontal, input output, upper lower, male female, parent child, teacher student, "
        "arrive depart, expand contract, victory defeat, profit loss, teach learn, lend borrow, "
        "guilty innocent, simple complex, general specific, forward backward, sweet bitter, "
        "smooth rough"
    ),
}

LISTED: dict[str, tuple[tuple[str, str], ...]] = {
    name: tuple((first, second) for first, second in (pair.split() for pair in text.split(",")))
    for name, text in _LISTS.items()
}
"""Relation -> pairs of words. Those of a relation that a rule gives too are its irregular ones."""
