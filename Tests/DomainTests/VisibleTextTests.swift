import Domain
import Testing

@Suite("Texts that are shown") struct VisibleTextTests {
    @Test(
        "stand on one line as what they are",
        arguments: [
            ("ada@example.com", "ada@example.com"), ("Zoë 日本 👩", "Zoë 日本 👩"), ("", ""), ("a b", "a b"),
            ("a\u{1b}[2Jb", #"a\u{1b}[2Jb"#), ("a\nadmin\tb\r", #"a\nadmin\tb\r"#), ("\0\u{7f}\u{9b}", #"\u{0}\u{7f}\u{9b}"#),
            ("\u{202e}txt", #"\u{202e}txt"#), ("a\u{2066}b\u{200b}c\u{feff}", #"a\u{2066}b\u{200b}c\u{feff}"#),
            ("a\u{2028}b\u{2029}\u{85}", #"a\u{2028}b\u{2029}\u{85}"#), ("a\u{a0}b\u{3000}", #"a\u{a0}b\u{3000}"#),
            (#"\n"#, #"\\n"#), ("\u{e000}\u{ffff}", #"\u{e000}\u{ffff}"#), ("\r\n", #"\r\n"#),
        ])
    func visible(text: String, shown: String) {
        #expect(text.visible.unicodeScalars.elementsEqual(shown.unicodeScalars))
    }
}
