#!/usr/bin/env python3
"""Makes the tokenizer fixtures with the tokenizers package (0.23.3 was used; Unicode tables depend on the version).

    make_tokenizer_fixtures.py OUT [N [SEED]]     tokenizers and N cases in all (default 5300, seed 1)

OUT/NAME.json is a tokenizer (abacus: the model's own is used, nothing is written), trained here on text made here.
OUT/NAME.txt has its cases, a line each:   FLAGS TEXT IDS DECODED
  FLAGS    1 added tokens become ids, 2 run the post-processor, 4 DECODED leaves out special tokens, 8 decode only
  TEXT     input bytes in hexadecimal, broken UTF-8 as it is ('-' is empty)
  IDS      comma-separated ids of TEXT read with errors='replace' ('-' is empty)
  DECODED  what the ids decode to, in hexadecimal; '=' if that is TEXT itself

The committed fixtures are `make_tokenizer_fixtures.py tests/golden/data/tokenizer`. For a larger comparison write
elsewhere and run `build/tests/golden/test_tokenizer OUT`.
"""
import json
import os
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
QWEN35 = CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES
LLAMA = CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*""" + SPACES,
]

# ---- text ----

ALPHABETS = [
    ("latin", "abcdefghijklmnopqrstuvwxyz"), ("latin1", "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœşžłđ"), ("viet", "ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữự"),
    ("greek", "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώς"), ("cyrillic", "абвгдежзийклмнопрстуфхцчшщъыьэюяёїєґ"), ("armenian", "աբգդեզէըթժիլխծկհձղճմ"),
    ("hebrew", "אבגדהוזחטיכלמנסעפצקרשתםןץ"), ("arabic", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"), ("devanagari", "कखगघचछजझटठडढतथदधनपफबभमयरलवशसह"),
    ("bengali", "কখগঘচছজঝটঠডঢতথদধনপফবভময"), ("tamil", "கஙசஞடணதநபமயரலவழளறன"), ("thai", "กขคงจฉชซญดตถทธนบปผพฟภมยรลวสหอ"), ("georgian", "აბგდევზთიკლმნოპჟრს"),
    ("hangul", "가나다라마바사아자차카타파하한국말글"), ("kana", "あいうえおかきくけこさしすせそアイウエオカキクケコ"),
    ("han", "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学"), ("ethiopic", "ሀለሐመሠረሰሸቀበተቸኀነኘአከኸ"), ("khmer", "កខគឃងចឆជឈញដឋឌឍណតថទធន"),
    ("runic", "ᚠᚢᚦᚨᚱᚲᚷᚹᚺᚾᛁᛃ"), ("gothic", "𐌰𐌱𐌲𐌳𐌴𐌵𐌶𐌷𐌸"), ("math", "𝐀𝐁𝐂𝑎𝑏𝑐𝔸𝔹ℂ𝒳𝓎"), ("kawi", "\U00011f04\U00011f05\U00011f06\U00011f12\U00011f13"),
    ("garay", "\U00010d50\U00010d51\U00010d70\U00010d71"), ("extension-h", "\U00031350\U00031351\U0002ebf0\U000323af"), ("deseret", "𐐀𐐁𐐨𐐩"),
]
MARKS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0316\u031b\u0323\u0327\u0328\u0334\u0338\u0345\u035c\u0360\u05b0\u05b4\u064b\u064e\u0651\u093c\u093e\u094d\u09be\u0bbe\u0bd7\u0e38\u0e49\u1161\u1175\u11a7\u11a8\u11c2\u200d\u20d7\u3099\u309a\ufe0f\u0897\u1ac1\u1e4ec\U00011930\U00011f41\U0001d165\U00016ff0"
WORDS = """the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all
her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some
could these two may first then do any like my now over such our man me even most made after also did many off before must well back through
years much where your way down should because long each just state those people too mister good very make world still see own work men day get
here old life both between being under three never know same last another while us great therefore answer number equals total each price
apples minutes per hour speed distance sum product remainder divide multiply step first next finally check let compute solve equation value
function return print range input while else elif import class def for in if not and or True False None int str list dict""".split()
CODE = ["def f(x):\n    return x**2 + 1\n", "for (int i = 0; i < n; ++i) {\n\ta[i] += b[i];\n}\n", "#include <stdio.h>\r\nint main(void) { return 0; }\r\n",
        "SELECT * FROM t WHERE id != 'x''y';", "x = {'a': 1, \"b\": [2.5e-3, 0xFF]}\n", "if __name__ == \"__main__\":\n    main()\n",
        "let v: Vec<u8> = s.bytes().map(|b| b ^ 0x20).collect();", "<div class=\"a\">&nbsp;</div>\n", "std::cout << a->b << std::endl;\n",
        "\\frac{1}{2} + \\sqrt{x^2 - 4ac}", "$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$", "\\boxed{\\dfrac{-b \\pm \\sqrt{b^2-4ac}}{2a}}",
        "\\begin{align*}\na &= b \\\\\n  &\\le c\n\\end{align*}", "https://example.com/a?b=c&d=%20#e", "C:\\Users\\x\\file.txt", "1,234,567.89 - 3/4 = 12%", "###\n\n---\n* a\n  * b\n"]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️", "1️⃣", "🧑🏿‍🚀", "🫨", "🩷", "🪿", "🫩", "🤦🏼‍♂️", "☺", "™", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👩‍❤️‍💋‍👨", "🫱🏻‍🫲🏿"]
SPACE = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u1680", "\u180e", "\u2000", "\u2003", "\u200a", "\u200b",
         "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\x1c", "\x1f", "        ", "\t\t", " \t \n"]
PUNCT = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["…", "—", "–", "“", "”", "‘", "’", "«", "»", "。", "、", "「", "」", "·", "•", "×", "÷", "≤", "∑", "€", "£", "°", "№", "␀", "\x00", "\x7f", "\xad"]
QUOTES = ["'s", "'S", "'ſ", "'LL", "'Ll", "'re", "'ve", "'D", "'m", "'T", "’s", "n't", "'x"]
NUMBERS = ["0", "7", "42", "123", "1234", "1234567", "3.14159", "1e10", "٠١٢٣", "०१२", "²³", "½", "Ⅷ", "①", "一二三", "\U00010d40\U00010d41", "\U0001ccf0\U0001ccf1", "𝟘𝟙", "௧௨", "\U00011de0"]
BROKEN = [b"\xff", b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88", b"\xe0\x80", b"\xf0\x80\x80", b"\xfe\xbf", b"\xe2\x28\xa1"]
# One case each for every tokenizer, before the random ones: edges of NFC, white space, classes and added tokens.
TRICKY = ["", "가\u11a7", "가\u11a7\u11a8", "각\u11a8", "\u1100\u1161\u11a7\u11a8", "\u0958\u212b\u2126\u1e9b\u0323", "a\u0315\u0300\u05ae\u0300\u0062", "\U00011935\U00011930 \u0cc6\u0cd5\u0cc2",
          "e" + "\u0301\u0323\u0334\u0345" * 30 + "x", "\u0344\u0f73\u0f81", "\U0001d15e\U0001d1c0\U0002f800", "\u1e4ec\u0301\u0898\u0334", "a\u180eb \u180e c", "\u200b\ufeff\u2060 x", "  \u3000 x", " \n \n\n  y",
          "\r\n\r\n  \t", "x'ſ y'S z'LL", "🫨🩷🪿 🫩", "\U0001171e\U0001ccf5\U000105c0 \u1c89\ua7dc", "1²½Ⅷ٣१①", "\x00\x01 \x7f", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", "<think></think>", "<|im_start|", "wordword word.word _word_", "a----b------c -- d---", "A.B..CC...ddd;;e;F__g_", "a" * 300, " " * 300 + "x"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.lexicon = {n: ["".join(self.r.choices(a, k=self.r.randint(1, 7))) for _ in range(60)] for n, a in ALPHABETS}
        self.names = [n for n, _ in ALPHABETS]
        self.weights = [1 / (1 + i) for i in range(60)]

    def word(self):
        r = self.r
        if r.random() < 0.4:
            w = r.choice(WORDS)
            return r.choice([w, w, w, w.capitalize(), w.upper()])
        n = r.choice(self.names)
        return r.choices(self.lexicon[n], self.weights)[0]

    def sentence(self):
        return " ".join(self.word() for _ in range(self.r.randint(3, 14))) + self.r.choice([".", "!", "?", "。", "\n", ",", ""])

    def training(self, n):
        r = self.r
        for _ in range(n):
            yield r.choice([self.sentence(), self.sentence(), r.choice(CODE), self.sentence() + " " + r.choice(EMOJI), "%d + %d = %d" % (r.randint(0, 99), r.randint(0, 999), r.randint(0, 999))])

    def any_char(self):
        while True:
            c = self.r.choice([self.r.randrange(0x80), self.r.randrange(0x3000), self.r.randrange(0x10000), self.r.randrange(0x20000), self.r.randrange(0x110000)])
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)

    def atom(self, added):
        r = self.r
        k = r.randrange(14)
        if k < 4: return self.word().encode()
        if k == 4: return r.choice(PUNCT).encode() * r.choice([1, 1, 2, 3])
        if k == 5: return r.choice(NUMBERS).encode()
        if k == 6: return r.choice(EMOJI).encode()
        if k == 7: return r.choice(SPACE).encode() * r.choice([1, 1, 1, 2, 5])
        if k == 8: return r.choice(QUOTES).encode()
        if k == 9: return (self.word()[-1:] + "".join(r.choices(MARKS, k=r.randint(1, 4)))).encode()
        if k == 10: return unicodedata.normalize(r.choice(["NFD", "NFKD", "NFC"]), self.word()).encode()
        if k == 11: return self.any_char().encode()
        if k == 12: return r.choice(added).encode() if added else b""
        return r.choice(BROKEN) if r.random() < 0.3 else r.choice(SPACE[:8]).encode()

    def case(self, added):
        r = self.r
        k = r.randrange(12)
        if k == 0: return r.choice(CODE).encode() + r.choice(CODE).encode()
        if k == 1: return self.sentence().encode()
        if k == 2 and added:
            return r.choice(SPACE).encode() + r.choice(added).encode() + r.choice(SPACE).encode() + r.choice(added).encode() + self.word().encode()
        if k == 3: return r.choice(["a", " ", "\n", "é", "=", "0", "\u0301", "ab", "的", "e\u0323\u0301", "🫨", "\t ", "가", "<", "\u1100\u1161\u11a8"]).encode() * r.randint(2, 60)
        if k == 4: return "".join(self.any_char() for _ in range(r.randint(1, 12))).encode()
        return b"".join(self.atom(added) + (b" " if r.random() < 0.3 else b"") for _ in range(r.randint(1, 9)))


# ---- tokenizers ----

def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(**k):
    return pre_tokenizers.ByteLevel(add_prefix_space=k.get("add_prefix_space", False), trim_offsets=k.get("trim_offsets", False), use_regex=k.get("use_regex", False))


def special(*names):
    return [AddedToken(n, special=True, normalized=False) for n in names]


def plain(*names):
    return [AddedToken(n, special=False, normalized=False) for n in names]


def bos_template(t, token, eos=None):
    single = token + " $A" + (" " + eos if eos else "")
    return processors.TemplateProcessing(single=single, pair=single + " $B:1", special_tokens=[(x, t.token_to_id(x)) for x in [token, eos] if x])


def train(maker, vocab, normalizer, steps, added, ignore_merges=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer: t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(steps)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(maker.training(4000), trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    t.add_tokens(added)
    return t


def make_tokenizers(maker):
    """name → (JSON text, contents of added tokens)"""
    out = {}
    qwen = special("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>") + plain("<tool_call>", "</tool_call>", "<think>", "</think>")
    out["qwen3"] = train(maker, 1500, normalizers.NFC(), [split(QWEN), byte_level()], qwen)
    out["qwen35"] = train(maker, 900, normalizers.NFC(), [split(QWEN35), byte_level()], qwen[:6])

    t = train(maker, 1500, None, [split(LLAMA), byte_level(trim_offsets=True)], special("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), True)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), bos_template(t, "<|begin_of_text|>")])
    out["llama3"] = t

    t = train(maker, 1500, normalizers.Sequence([]), [split(p) for p in DEEPSEEK] + [byte_level(trim_offsets=True)],
              special("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>") + plain("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"))
    t.post_processor = bos_template(t, "<｜begin▁of▁sentence｜>")
    out["deepseek"] = t

    # Every flag and behaviour that the others leave alone: strips, single words, normalized contents, a content inside
    # another, white space as content, letters of the byte alphabet, BOS and EOS, a prefix space, GPT-2's pattern.
    odd = [AddedToken("<L>", lstrip=True, normalized=False), AddedToken("<R>", rstrip=True, normalized=False), AddedToken("<LR>", lstrip=True, rstrip=True, normalized=False, special=True),
           AddedToken("word", single_word=True, normalized=False), AddedToken("<mask>", lstrip=True, special=True, normalized=True), AddedToken("e\u0301clair", normalized=True),
           AddedToken("re\u0301", normalized=False), AddedToken("<R><L>", normalized=False), AddedToken("<|a|>", normalized=False), AddedToken("<|a|><|a|>", normalized=False),
           AddedToken("   ", normalized=False), AddedToken("\u00e9t\u00e9", normalized=True, single_word=True), AddedToken("Ġthe", normalized=False), AddedToken("\u212bngstrom", special=True, normalized=True),
           AddedToken("<s>", special=True, normalized=False), AddedToken("</s>", special=True, normalized=False, rstrip=True), AddedToken("\n", single_word=True, normalized=True, rstrip=True)]
    t = train(maker, 800, normalizers.Sequence([normalizers.NFC()]), [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split("--", "merged_with_previous"),
              split(r"[\p{Lu}]", "merged_with_next"), split(r"_+", "removed"), split(r"\.", "contiguous"), split(r"[^;]+", "removed", True), byte_level(add_prefix_space=True, use_regex=True)], odd)
    t.post_processor = processors.Sequence([processors.ByteLevel(), bos_template(t, "<s>", "</s>"), processors.ByteLevel()])
    out["odd"] = t

    texts = {n: t.to_str() for n, t in out.items()}
    j = json.loads(texts["llama3"])  # the older spelling of merges, as Llama 3 and Qwen 2 files have it
    j["model"]["merges"] = [" ".join(m) for m in j["model"]["merges"]]
    texts["llama3"] = json.dumps(j, ensure_ascii=False, separators=(",", ":"))
    texts["abacus"] = open(os.path.join(ROOT, "models/abacus-5m/tokenizer.json"), encoding="utf-8").read()
    return {n: (s, [a["content"] for a in json.loads(s)["added_tokens"]]) for n, s in texts.items()}


# ---- cases ----

def line(flags, text, ids, decoded):
    d = decoded.encode()
    return "%d %s %s %s\n" % (flags, text.hex() or "-", ",".join(map(str, ids)) or "-", "=" if d == text else d.hex() or "-")


def write_cases(path, maker, text, added, n):
    full = Tokenizer.from_str(text)
    bare = json.loads(text)
    bare["added_tokens"] = []
    bare = Tokenizer.from_str(json.dumps(bare))
    size = 1 + max(full.get_vocab().values())
    tricky = TRICKY[::-1]
    with open(path, "w") as f:
        for i in range(n):
            if i % 20 == 19:  # ids that never came from text: halves of characters, unknown ids
                ids = [maker.r.randrange(size + 5) if maker.r.random() < 0.5 else maker.r.randrange(260) for _ in range(maker.r.randint(1, 12))]
                skip = maker.r.randrange(2) * 4
                f.write(line(8 | skip, b"", ids, full.decode(ids, skip_special_tokens=skip > 0)))
                continue
            flags = maker.r.choice([0, 1, 1, 1, 1, 3, 3, 5, 7])
            raw = tricky.pop().encode() if tricky else maker.case(added)
            t = full if flags & 1 else bare
            ids = t.encode(raw.decode("utf-8", errors="replace"), add_special_tokens=flags & 2 > 0).ids
            f.write(line(flags, raw, ids, full.decode(ids, skip_special_tokens=flags & 4 > 0)))


def main():
    out = sys.argv[1]
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 5300
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    os.makedirs(out, exist_ok=True)
    made = make_tokenizers(Maker(1))
    maker = Maker(seed + 1000)
    for k, (name, (text, added)) in enumerate(sorted(made.items())):
        if name != "abacus":
            with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as f: f.write(text)
        write_cases(os.path.join(out, name + ".txt"), maker, text, added, n * (k + 1) // len(made) - n * k // len(made))


if __name__ == "__main__":
    main()
