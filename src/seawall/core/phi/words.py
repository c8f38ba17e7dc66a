"""Closed lists of small words that the rules need; open lists are handed in as gazetteers."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAME_TITLES: Final = _words("""
    dr ii iii iv jr md miss mr mrs ms mx phd prof rn sr
""")
"""Titles and suffixes, which are no part of a name in its normal form."""

NAME_STOPS: Final = _words("""
    a address an and are as at avenue be boulevard bsn but by cc center centre clinic college corp
    county date dds department do dob doctor dpm dr drive ed email er esq facs fax for fri friday
    from he health her his hospital hpi hx i icu id if ii iii in inc institute is it iv jr lane
    lcsw llc lpn mbbs md medical miss mon monday mr mrn mrs ms no not np of on or our pa pharmacy
    pharmd phd phone pmh prof pt re rn road ros sat saturday school she sr ssn street sunday the
    their they thu thursday to tue tuesday university was we wed wednesday with yes you
""")
"""Words that end a name, or never begin one; months come on top."""

SENTENCE_WORDS: Final = _words("""
    also are be been call came can come comes could day days did do had has have how is just may
    must need needs please said saw says see seen should still take takes thanks that then these
    this today was week weeks were what when where which who why will would
""")
"""Words that are surnames too, and after a given name are more often the verb."""

GENERIC_SITE_WORDS: Final = _words("""
    intensive transitional critical
    a academic acute admitted after afternoon age allergies american an and annual another any
    area assessment at attending before behavioral blood bring british by call cancer care center
    central centre certified children's childrens city clinic clinical community contact control
    county daily data day department discharged doctor dr during each elementary emergency
    european evening every eye family federal field first follow follow-up for free from general
    group health heart her high his history home hospital hospital-acquired human if in in-patient
    inpatient institute international is lab laboratory last licensed local long-term main medical
    medications men's mental middle minute mobile monthly morning mr mrs ms multispecialty my
    national nearby nearest new next night no note nurse nursing occupational of on or other our
    outpatient pain past patient patients pharmacy physical plan please primary privacy private
    prof provider public quality regional report resident rural safety same school second
    secondary see seen senior service services short since skin sleep social specialty state
    stroke study summary support surgical teaching term tertiary that the their these this those
    to total transferred treated treatment university until urban urgent veterans visit walk-in
    was weekly weight wellness what when where which who with women's womens world your
""")
"""Words that tell no care site from another: "Primary Care Clinic" is anywhere."""

NO_PLACES: Final = _words("""
    african american arabic asian bed catholic caucasian ccu chinese christian clinic ct dr ed
    english er european floor french friday german gyn he hispanic i icu im italian iv jewish ltac
    ltach micu monday mr mri mrs ms muslim nicu ob or pacu patient pcp picu po portuguese prof pt
    room russian saturday she sicu snf spanish sunday they thursday tuesday unit ward wednesday
""")
"""Capitalised words after "in" or "at" that are no places; months come on top."""

LEAD_INS: Final = _words("""
    attends attended attending joined
    a address admitted after also an and appointment at before both by call can city contact could
    did discharged do does dr during evaluated follow-up followup for from had has have he her his
    how i if in is it lives location mr mrs ms my near now of on or our patient per please pt
    referred seen she should since that the then they this to transferred treated until via visit
    visited visits was we what when where which who why with would your
""")
"""Words that stand, at the start of a sentence, before a name of a place."""
