internal import Foundation

/// Where a file lies that another program is to send.
package struct SentFile: Sendable {
    /// Below the folder of all chunks.
    package let relativePath: String
    /// As the folder is called in the settings.
    package let path: String
}

extension FileContents {
    /// The file at a path, for a program that sends it; nil where there is none, or it lies outside of the folder of all chunks, to
    /// where a link may lead. It blocks.
    package func sent(_ path: String) -> SentFile? {
        guard let relative = ChunkPath(row: path), isFile(relative) else { return nil }
        let file = file(relative)
        guard let root = Self.real(URL(filePath: folder)), let real = Self.real(file), real.hasPrefix(root + "/") else { return nil }
        return SentFile(relativePath: relative.text, path: file.absoluteURL.standardized.path(percentEncoded: false))
    }

    /// Without links; nil where there is nothing.
    private static func real(_ file: URL) -> String? {
        guard let path = unsafe realpath(file.path(percentEncoded: false), nil) else { return nil }
        defer { unsafe free(path) }
        return unsafe String(cString: path)
    }
}
