import MessagePack
import NIOCore
import Testing

@testable import API

@Suite("JSON bodies are read as Python 3.10 reads them")
struct PythonJSONTests {
    @Test("a text gives what msgpack.packb(json.loads(text)) gives, or the same message and position", arguments: goldenTexts)
    func golden(_ golden: Golden) {
        #expect(outcome(ByteBuffer(string: golden.text)) == golden.outcome)
    }

    @Test(
        "bytes that are not UTF-8 are undecodable",
        arguments: ["22ff22", "c3", "22eda08022", "fffe3100", "3100", "0031", "5b005d00"]
    )
    func notUTF8(hex: String) throws {
        #expect(outcome(try ByteBuffer(plainHexEncodedBytes: hex)) == .fails(.undecodable))
    }

    @Test("nesting is taken up to the bound and undecodable beyond", arguments: [("[", "]"), (#"{"a":"#, "}")])
    func nesting(open: String, close: String) throws {
        func nested(_ depth: Int) -> ByteBuffer {
            ByteBuffer(string: String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth))
        }
        _ = try MessagePackValue(validating: PythonJSON.transcode(nested(100)))
        #expect(throws: PythonJSON.Failure.undecodable) { try PythonJSON.transcode(nested(101)) }
        #expect(throws: PythonJSON.Failure.undecodable) { try PythonJSON.transcode(nested(3), maximumDepth: 2) }
        let endless = ByteBuffer(string: String(repeating: open, count: 1_000_000))
        #expect(throws: PythonJSON.Failure.undecodable) { try PythonJSON.transcode(endless) }
    }

    @Test("more than 4300 digits are undecodable before anything after them is looked at")
    func digits() {
        let digits = String(repeating: "1", count: 4300)
        #expect(outcome(ByteBuffer(string: digits)) == .fails(.undecodable))
        #expect(outcome(ByteBuffer(string: digits + "x")) == .fails(.syntax(message: "Extra data", position: 4300)))
        #expect(outcome(ByteBuffer(string: digits + "1x")) == .fails(.undecodable))
        #expect(outcome(ByteBuffer(string: digits + "1.0")) == .packs("cb7ff0000000000000"))
    }

    @Test("doubled keys are kept for the reader, where the last one wins")
    func doubledKeys() throws {
        let value = try MessagePackValue(validating: PythonJSON.transcode(ByteBuffer(string: #"{"a":1,"a":2}"#)))
        guard case .map(let map) = value.kind else { return #expect(Bool(false)) }
        #expect(map.count == 2)
        #expect(map["a"]?.encoded == ByteBuffer(bytes: [2]))
    }

    @Test("only the readable bytes are read")
    func readableBytes() {
        var body = ByteBuffer(string: "xx[é x")
        body.moveReaderIndex(forwardBy: 2)
        #expect(outcome(body) == .fails(.syntax(message: "Expecting value", position: 1)))
    }

    @Test("any prefix or mutation of a text is read or refused; nothing traps")
    func mutations() throws {
        let text = Array(#"{"a":[1,-2.5e3,"é\ud83d\ude00\n",NaN,-Infinity,true,null],"b":{"c":{}}} "#.utf8)
        for index in text.indices {
            _ = outcome(ByteBuffer(bytes: text.prefix(index)))
            for byte in UInt8.min...UInt8.max {
                var mutated = text
                mutated[index] = byte
                _ = outcome(ByteBuffer(bytes: mutated))
            }
        }
    }

    /// Compares in canonical form: the transcoder itself gives containers wide heads, and keeps doubled keys.
    private func outcome(_ body: ByteBuffer) -> Golden.Outcome {
        let packed: ByteBuffer
        do throws(PythonJSON.Failure) {
            packed = try PythonJSON.transcode(body)
        } catch {
            return .fails(error)
        }
        do throws(MessagePackError) {
            var writer = MessagePackWriter()
            writer.canonical(try MessagePackValue(validating: packed))
            return .packs(writer.buffer.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
        } catch {
            return .isNotMessagePack(error)
        }
    }
}

struct Golden: Sendable, CustomTestStringConvertible {
    enum Outcome: Equatable { case packs(String), fails(PythonJSON.Failure), isNotMessagePack(MessagePackError) }
    var text: String
    var outcome: Outcome
    var testDescription: String { text.debugDescription }

    init(_ text: String, _ outcome: Outcome) {
        self.text = text
        self.outcome = outcome
    }
}

/// Made by Python 3.10.13 and msgpack 1.2.4.
let goldenTexts: [Golden] = [
    Golden("null", .packs("c0")),
    Golden("true", .packs("c3")),
    Golden("false", .packs("c2")),
    Golden(#" \#u{9}\#u{a}\#u{d}1 "#, .packs("01")),
    Golden("0", .packs("00")),
    Golden("-0", .packs("00")),
    Golden("127", .packs("7f")),
    Golden("128", .packs("cc80")),
    Golden("-32", .packs("e0")),
    Golden("-33", .packs("d0df")),
    Golden("255", .packs("ccff")),
    Golden("256", .packs("cd0100")),
    Golden("65535", .packs("cdffff")),
    Golden("65536", .packs("ce00010000")),
    Golden("4294967295", .packs("ceffffffff")),
    Golden("4294967296", .packs("cf0000000100000000")),
    Golden("-128", .packs("d080")),
    Golden("-129", .packs("d1ff7f")),
    Golden("-32768", .packs("d18000")),
    Golden("-32769", .packs("d2ffff7fff")),
    Golden("-2147483648", .packs("d280000000")),
    Golden("-2147483649", .packs("d3ffffffff7fffffff")),
    Golden("9223372036854775807", .packs("cf7fffffffffffffff")),
    Golden("9223372036854775808", .packs("cf8000000000000000")),
    Golden("18446744073709551615", .packs("cfffffffffffffffff")),
    Golden("-9223372036854775808", .packs("d38000000000000000")),
    Golden("18446744073709551616", .fails(.undecodable)),
    Golden("-9223372036854775809", .fails(.undecodable)),
    Golden("1.0", .packs("cb3ff0000000000000")),
    Golden("-0.0", .packs("cb8000000000000000")),
    Golden("0.1", .packs("cb3fb999999999999a")),
    Golden("1e5", .packs("cb40f86a0000000000")),
    Golden("1E+5", .packs("cb40f86a0000000000")),
    Golden("1e-5", .packs("cb3ee4f8b588e368f1")),
    Golden("1.5e300", .packs("cb7e41eb2d66005835")),
    Golden("1e999", .packs("cb7ff0000000000000")),
    Golden("-1e999", .packs("cbfff0000000000000")),
    Golden("5e-324", .packs("cb0000000000000001")),
    Golden("1e-400", .packs("cb0000000000000000")),
    Golden("NaN", .packs("cb7ff8000000000000")),
    Golden("Infinity", .packs("cb7ff0000000000000")),
    Golden("-Infinity", .packs("cbfff0000000000000")),
    Golden("1111111111111111111111111.0", .packs("cb44ed692e876392c8")),
    Golden(#""""#, .packs("a0")),
    Golden(#""a""#, .packs("a161")),
    Golden(#""é😀""#, .packs("a6c3a9f09f9880")),
    Golden(#""\u00e9\uD83D\ude00""#, .packs("a6c3a9f09f9880")),
    Golden(#""\"\\\/\b\f\n\r\t""#, .packs("a8225c2f080c0a0d09")),
    Golden(#""\u0000""#, .packs("a100")),
    Golden(#""\#u{7f}\#u{2028}""#, .packs("a47fe280a8")),
    Golden(#""aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#, .packs("bf61616161616161616161616161616161616161616161616161616161616161")),
    Golden(#""aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#, .packs("d9206161616161616161616161616161616161616161616161616161616161616161")),
    Golden("[]", .packs("90")),
    Golden("{}", .packs("80")),
    Golden("[1,[2,{}]]", .packs("9201920280")),
    Golden(#"{"a":1,"b":[null]}"#, .packs("82a16101a16291c0")),
    Golden(#"{ "a" : 1 , "b" : 2 }"#, .packs("82a16101a16202")),
    Golden(#"{"a":1,"b":2,"a":3}"#, .packs("82a16103a16202")),
    Golden(#"{"\u0061":1,"a":2}"#, .packs("81a16102")),
    Golden(#"{"é":1,"e\#u{301}":2}"#, .packs("82a2c3a901a365cc8102")),
    Golden("[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", .packs("dc001000000000000000000000000000000000")),
    Golden(#"\#u{feff}[1]"#, .packs("9101")),
    Golden(#"\#u{feff}"#, .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden(" ", .fails(.syntax(message: "Expecting value", position: 1))),
    Golden("nul", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("NULL", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("Nan", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("-", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("-Infinit", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("-I", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("+1", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden(".5", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("01", .fails(.syntax(message: "Extra data", position: 1))),
    Golden("1.", .fails(.syntax(message: "Extra data", position: 1))),
    Golden("1e", .fails(.syntax(message: "Extra data", position: 1))),
    Golden("1e+", .fails(.syntax(message: "Extra data", position: 1))),
    Golden("1.e5", .fails(.syntax(message: "Extra data", position: 1))),
    Golden("--1", .fails(.syntax(message: "Expecting value", position: 0))),
    Golden("0x1", .fails(.syntax(message: "Extra data", position: 1))),
    Golden("1 2", .fails(.syntax(message: "Extra data", position: 2))),
    Golden("[1]]", .fails(.syntax(message: "Extra data", position: 3))),
    Golden("{}x", .fails(.syntax(message: "Extra data", position: 2))),
    Golden("[", .fails(.syntax(message: "Expecting value", position: 1))),
    Golden("[1", .fails(.syntax(message: "Expecting ',' delimiter", position: 2))),
    Golden("[1,", .fails(.syntax(message: "Expecting value", position: 3))),
    Golden("[1,]", .fails(.syntax(message: "Expecting value", position: 3))),
    Golden("[,1]", .fails(.syntax(message: "Expecting value", position: 1))),
    Golden("[1 2]", .fails(.syntax(message: "Expecting ',' delimiter", position: 3))),
    Golden("[é]", .fails(.syntax(message: "Expecting value", position: 1))),
    Golden("{", .fails(.syntax(message: "Expecting property name enclosed in double quotes", position: 1))),
    Golden(#"{"a""#, .fails(.syntax(message: "Expecting ':' delimiter", position: 4))),
    Golden(#"{"a":"#, .fails(.syntax(message: "Expecting value", position: 5))),
    Golden(#"{"a" 1}"#, .fails(.syntax(message: "Expecting ':' delimiter", position: 5))),
    Golden(#"{"a":1"#, .fails(.syntax(message: "Expecting ',' delimiter", position: 6))),
    Golden(#"{"a":1,"#, .fails(.syntax(message: "Expecting property name enclosed in double quotes", position: 7))),
    Golden(#"{"a":1,}"#, .fails(.syntax(message: "Expecting property name enclosed in double quotes", position: 7))),
    Golden("{,}", .fails(.syntax(message: "Expecting property name enclosed in double quotes", position: 1))),
    Golden("{1:2}", .fails(.syntax(message: "Expecting property name enclosed in double quotes", position: 1))),
    Golden("{'a':1}", .fails(.syntax(message: "Expecting property name enclosed in double quotes", position: 1))),
    Golden(#"{"a":1 "b":2}"#, .fails(.syntax(message: "Expecting ',' delimiter", position: 7))),
    Golden(#"{"a":}"#, .fails(.syntax(message: "Expecting value", position: 5))),
    Golden(#"{"a"::1}"#, .fails(.syntax(message: "Expecting value", position: 5))),
    Golden(#"{"é": é}"#, .fails(.syntax(message: "Expecting value", position: 6))),
    Golden(#""é" é"#, .fails(.syntax(message: "Extra data", position: 4))),
    Golden(#"\#u{ff11}"#, .fails(.syntax(message: "Expecting value", position: 0))),
    Golden(#"""#, .fails(.syntax(message: "Unterminated string starting at", position: 0))),
    Golden(#""abc"#, .fails(.syntax(message: "Unterminated string starting at", position: 0))),
    Golden(#""\"#, .fails(.syntax(message: "Unterminated string starting at", position: 0))),
    Golden(#""\""#, .fails(.syntax(message: "Unterminated string starting at", position: 0))),
    Golden(#""\x""#, .fails(.syntax(message: #"Invalid \escape"#, position: 1))),
    Golden(#""é\x""#, .fails(.syntax(message: #"Invalid \escape"#, position: 2))),
    Golden(#""\u""#, .fails(.syntax(message: #"Invalid \uXXXX escape"#, position: 2))),
    Golden(#""\u12""#, .fails(.syntax(message: #"Invalid \uXXXX escape"#, position: 2))),
    Golden(#""\u12x4""#, .fails(.syntax(message: #"Invalid \uXXXX escape"#, position: 2))),
    Golden(#""\u1234"#, .fails(.syntax(message: #"Invalid \uXXXX escape"#, position: 2))),
    Golden(#""\u+123""#, .fails(.syntax(message: #"Invalid \uXXXX escape"#, position: 2))),
    Golden(#""\uD83D\u12""#, .fails(.syntax(message: #"Invalid \uXXXX escape"#, position: 8))),
    Golden(#""\ud83d\uxxxx""#, .fails(.syntax(message: #"Invalid \uXXXX escape"#, position: 8))),
    Golden(#""\#u{9}""#, .fails(.syntax(message: "Invalid control character at", position: 1))),
    Golden(#""a\#u{0}b""#, .fails(.syntax(message: "Invalid control character at", position: 2))),
    Golden(#""é\#u{a}""#, .fails(.syntax(message: "Invalid control character at", position: 2))),
    Golden(#"{"a\q":1}"#, .fails(.syntax(message: #"Invalid \escape"#, position: 3))),
    Golden(#""\ud800""#, .fails(.undecodable)),
    Golden(#""\udc00\ud800""#, .fails(.undecodable)),
    Golden(#""\ud83d\u0041""#, .fails(.undecodable)),
    Golden(#""\ud83dA""#, .fails(.undecodable)),
    Golden(#""\ud83d\ud83d\ude00""#, .fails(.undecodable)),
    Golden(#"{"\ud800":1}"#, .fails(.undecodable)),
    Golden(#"["\ud800""#, .fails(.syntax(message: "Expecting ',' delimiter", position: 9))),
    Golden("[18446744073709551616", .fails(.syntax(message: "Expecting ',' delimiter", position: 21))),
    Golden(#"["\ud800",]"#, .fails(.syntax(message: "Expecting value", position: 10))),
    Golden(#"\#u{feff}\#u{feff}1"#, .fails(.syntax(message: "Expecting value", position: 0))),
    Golden(#"1\#u{0}"#, .fails(.undecodable)),
    Golden(#"[1]\#u{0}"#, .fails(.syntax(message: "Extra data", position: 3))),
    Golden(#"\#u{0}"#, .fails(.syntax(message: "Expecting value", position: 0))),
    Golden(#"[\#u{0}]"#, .fails(.syntax(message: "Expecting value", position: 1))),
    Golden(#""a"\#u{0}"#, .fails(.syntax(message: "Extra data", position: 3))),
]
