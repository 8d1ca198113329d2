"""pp → tHj with H → γγ and t → bjj: the CP phase α of the top Yukawa coupling."""
