internal import ArgumentParser
internal import Domain

/// A number of bytes in a setting.
enum Size {
    /// - Parameter name: of the setting, for what is said of a mistake.
    /// - Throws: `ValidationError` for anything that is none, and for 0.
    static func parse(_ text: String, of name: String) throws -> Int {
        do throws(ByteCount.Mistake) { return Int(try ByteCount.parse(text)) } catch {
            switch error {
            case .unreadable: throw ValidationError("\(name) is a size above 0, such as 75MB, 32MiB or a number of bytes, not \(text)")
            case .tooLarge: throw ValidationError("\(name) is too large: \(text)")
            }
        }
    }
}
