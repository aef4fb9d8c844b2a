"""What is known of tokens as words.

labels        labels of each token: form, case, script, part of speech
forms         which token spells a word (spelling: how English endings are spelled)
ordered_sets  sets of words with an order: weekdays, months, numbers
relations     pairs of tokens in one relation (word_pairs: the lists)
"""
