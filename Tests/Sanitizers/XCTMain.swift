import Testing

/// How the tests are started under a sanitizer: SwiftPM looks for this name, and needs no index of all sources then, which takes long.
@main struct Runner {
    static func main() async { await Testing.__swiftPMEntryPoint() as Never }
}
