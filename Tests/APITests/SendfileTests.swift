import Testing

@testable import API

@Suite("Files that a proxy sends") struct SendfileTests {
    @Test("are told it as it is set")
    func settings() {
        #expect(Sendfile("x-sendfile") == .sendfile)
        for text in ["x-accel-redirect:/_chunks", "x-accel-redirect:/_chunks/", "x-accel-redirect://_chunks//"] {
            #expect(Sendfile(text) == .accelRedirect(prefix: "/_chunks/"), "\(text)")
        }
        #expect(Sendfile("x-accel-redirect:/a/b/") == .accelRedirect(prefix: "/a/b/"))
        for text in [
            "", "x-accel-redirect", "x-accel-redirect:", "x-accel-redirect:/", "x-accel-redirect:chunks", "nginx", "x-sendfile:/x",
        ] {
            #expect(Sendfile(text) == nil, "\(text)")
        }
        #expect(Sendfile("x-accel-redirect:/a/../b") == nil && Sendfile("x-accel-redirect:/a b") == nil)
    }
}
