import Testing

/// That tests are looked at by a sanitizer: a fault made on purpose ends the process that makes it.
@Suite("The sanitizer") struct SanitizerTests {
    @Test("ends a process that reads memory it has given back")
    func freed() async {
        await #expect(processExitsWith: .failure) {
            let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)
            unsafe bytes.initialize(repeating: 7, count: 16)
            unsafe bytes.deallocate()
            print(unsafe bytes[3])
        }
    }
}
