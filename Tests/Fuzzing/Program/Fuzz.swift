/// Tries a subject with inputs that libFuzzer makes: `APUS_FUZZ_SUBJECT=NAME Fuzz [LIBFUZZER OPTION...] [FOLDER...]`; without a name, all
/// names are printed. (libFuzzer starts itself again with its own arguments, so the name is none of them.) Started by `ops/fuzz`. An input
/// that breaks a property ends the program, and is left in a file.
internal import CFuzzer
internal import Dispatch
internal import Foundation

@main
struct Fuzz {
    private static let subject = ProcessInfo.processInfo.environment["APUS_FUZZ_SUBJECT"].flatMap { Subject.named($0) }

    static func main() {
        guard subject != nil else {
            for subject in Subject.all { print(subject.name) }
            return
        }
        var (count, arguments) = unsafe (CommandLine.argc, Optional(CommandLine.unsafeArgv))
        exit(unsafe LLVMFuzzerRunDriver(&count, &arguments) { bytes, count in unsafe Fuzz.check(bytes, count) })
    }

    private static func check(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let bytes = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
        switch subject?.way {
        case .atOnce(let check): do { try check(bytes) } catch { fatalError("\(error)") }
        case .waiting(let check):
            let done = DispatchSemaphore(value: 0)
            Task.detached {
                do { try await check(bytes) } catch { fatalError("\(error)") }
                done.signal()
            }
            done.wait()
        case nil: break
        }
        return 0
    }
}
